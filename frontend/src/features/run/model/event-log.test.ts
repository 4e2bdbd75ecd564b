import { expect, test } from "vitest";
import type { Artifact, Run } from "@/shared/api/types";
import type { Frame } from "@/stream/frame";
import { allArtifacts, current, EventLog, ownerOf, pathOf, withNews } from "./event-log";
import { nodeState, routeOf } from "./node-progress";

function logOf(...events: Partial<Frame>[]) {
  const log = new EventLog();
  events.forEach((event, index) => {
    log.push({ event: "custom", seq: index + 1, run_id: "r", ts: `t${index + 1}`, ...event });
  });
  log.flush();
  return log;
}

const stateOf = (log: EventLog, node: string) => nodeState(log.snapshot().nodes.get(node));

test("nodes light up as their events come", () => {
  const log = logOf({ event: "created" });
  expect(stateOf(log, "parse")).toBe("waiting");
  log.push({ event: "started", seq: 2, run_id: "r", ts: "t2" });
  log.push({ event: "node_started", node: "parse", seq: 3, run_id: "r", ts: "t3" });
  log.flush();
  expect([stateOf(log, "__start__"), stateOf(log, "parse")]).toEqual(["done", "running"]);
  log.push({ event: "node_update", node: "parse", seq: 4, run_id: "r", ts: "t4" });
  log.flush();
  expect(stateOf(log, "parse")).toBe("done");
});

test("a node of many tasks is done when all are", () => {
  const task = (n: number) => ({
    event: "node_started",
    node: "column",
    data: { task_id: `t${n}` },
  });
  const update = { event: "node_update", node: "column" };
  expect(stateOf(logOf(task(1), task(2), update), "column")).toBe("running");
  expect(stateOf(logOf(task(1), task(2), update, update), "column")).toBe("done");
});

test("a task that is tried again is one task", () => {
  const started = { event: "node_started", node: "n", data: { task_id: "t" } };
  const log = logOf(started, { event: "retry", node: "n" }, started, {
    event: "node_update",
    node: "n",
  });
  expect(stateOf(log, "n")).toBe("done");
  expect(log.snapshot().nodes.get("n")?.retries).toBe(1);
});

test("a new attempt forgets what was under way, not what is done", () => {
  const log = logOf(
    { event: "started" },
    { event: "node_started", node: "a" },
    { event: "node_update", node: "a" },
    { event: "node_started", node: "b" },
    { event: "recovered" },
  );
  expect([stateOf(log, "a"), stateOf(log, "b")]).toEqual(["done", "waiting"]);
});

test("the end stops what runs, and marks the node that failed", () => {
  const started = [
    { event: "node_started", node: "a" },
    { event: "node_started", node: "b" },
  ];
  const log = logOf(...started, { event: "failed", data: { node: "b", message: "no" } });
  expect([stateOf(log, "a"), stateOf(log, "b"), stateOf(log, "__end__")]).toEqual([
    "stopped",
    "failed",
    "waiting",
  ]);
  expect(stateOf(logOf({ event: "completed" }), "__end__")).toBe("done");
});

test("a snapshot does not change when more comes", () => {
  const log = logOf({ event: "created" });
  const before = log.snapshot();
  log.push({ event: "artifact", seq: 2, run_id: "r", ts: "t2", data: { artifact_id: "a" } });
  log.flush();
  expect([before.frames.length, before.artifacts.length, before.names.size]).toEqual([1, 0, 1]);
  expect(log.snapshot().frames).toHaveLength(2);
  expect(log.snapshot().nodes).toBe(before.nodes);
});

test("events overtake what REST said, and only newer ones", () => {
  const run = { status: "running", seq: 2, step: 0, started_at: "t2", finished_at: null } as Run;
  const log = logOf({ event: "created" }, { event: "started" }).snapshot();
  expect(current({ ...run, seq: 9, status: "sleeping" }, log).status).toBe("sleeping");
  const ended = logOf(
    { event: "started" },
    { event: "checkpoint", step: 4 },
    { event: "node_started", step: 5 },
    { event: "completed" },
  );
  expect(current(run, ended.snapshot())).toMatchObject({
    status: "completed",
    finished_at: "t4",
    step: 4,
    seq: 4,
  });
});

test("the status of a run follows each event at once", () => {
  const run = { status: "pending", seq: 1, step: 0, started_at: null, finished_at: null } as Run;
  const log = logOf({ event: "created" });
  const statuses = [
    ["started", "running"],
    ["interrupted", "interrupted"],
    ["paused", "interrupted"],
    ["unpaused", "interrupted"],
    ["resumed", "running"],
    ["sleeping", "sleeping"],
    ["resumed", "running"],
    ["paused", "pending"],
    ["unpaused", "pending"],
    ["resumed", "running"],
    ["recovered", "running"],
    ["cancelled", "cancelled"],
  ] as const;
  statuses.forEach(([event, status], index) => {
    log.push({ event, seq: index + 2, run_id: "r", ts: `t${index}` });
    log.flush();
    expect(current(run, log.snapshot()).status, event).toBe(status);
  });
});

test("a pause follows its events, unless REST knows more or it is the workflow's", () => {
  const run = { status: "running", seq: 1, pause: null } as Run;
  const paused = { event: "paused", data: { by: "ann", reason: "lunch" } };
  const log = logOf({ event: "created" }, { event: "started" }, paused);
  const pause = { paused_at: "t3", by: "ann", reason: "lunch" };
  expect(current(run, log.snapshot()).pause).toEqual(pause);
  expect(current({ ...run, seq: 3 }, log.snapshot()).pause).toBeNull();
  const unpaused = logOf(paused, { event: "unpaused" }, { event: "resumed" }).snapshot();
  expect(current({ ...run, seq: 0, pause }, unpaused).pause).toBeNull();
  expect(current({ ...run, seq: 2, pause }, unpaused).pause).toEqual(pause);
  const workflow = logOf({ event: "paused", data: { by: "ann", reason: "", workflow: "w" } });
  expect(current({ ...run, seq: 0 }, workflow.snapshot()).pause).toBeNull();
});

test("an artifact that REST and an event know is one", () => {
  const artifact = (id: string, created_at: string) => ({ id, created_at }) as Artifact;
  const all = allArtifacts(
    [artifact("b", "2"), artifact("a", "1")],
    [artifact("b", "2"), artifact("c", "3")],
  );
  expect(all.map(({ id }) => id)).toEqual(["a", "b", "c"]);
});

const nodeStarted = (node: string, task: string, more: Partial<Frame> = {}) => ({
  event: "node_started",
  node,
  task_id: task,
  data: { task_id: task },
  ...more,
});
const ended = (node: string, task: string, more: Partial<Frame> = {}) => ({
  event: "node_update",
  node,
  task_id: task,
  ...more,
});
const inside = { namespace: "sub:t1" };

test("a node of a subgraph is not the outer node of its name", () => {
  const log = logOf(nodeStarted("sub", "t1"), nodeStarted("work", "t2", inside));
  expect([stateOf(log, "sub"), stateOf(log, "work")]).toEqual(["running", "waiting"]);
  const done = logOf(
    nodeStarted("sub", "t1"),
    nodeStarted("work", "t2", inside),
    ended("work", "t2", inside),
    ended("sub", "t1"),
  );
  expect([stateOf(done, "sub"), stateOf(done, "work")]).toEqual(["done", "waiting"]);
});

test("a failure inside marks the outermost node around it", () => {
  const failed = { event: "failed", node: "work", task_id: "t2", ...inside };
  const log = logOf(nodeStarted("sub", "t1"), nodeStarted("work", "t2", inside), failed);
  expect([stateOf(log, "sub"), stateOf(log, "work")]).toEqual(["failed", "waiting"]);
});

test("a task that a node calls is not the node of its name, also at the same time", () => {
  const call = nodeStarted("work", "c", { data: { task_id: "c", called_by: "t1" } });
  const both = [nodeStarted("outer", "t1"), nodeStarted("work", "t2"), call];
  const log = logOf(...both, ended("work", "c"));
  expect([stateOf(log, "outer"), stateOf(log, "work")]).toEqual(["running", "running"]);
  expect(stateOf(logOf(...both, ended("work", "t2")), "work")).toBe("done");
  const failed = logOf(...both, { event: "failed", node: "work", task_id: "c" });
  expect([stateOf(failed, "outer"), stateOf(failed, "work")]).toEqual(["failed", "stopped"]);
});

test("a graph that a called task runs belongs to the node around the call", () => {
  const call = nodeStarted("helper", "c", { data: { task_id: "c", called_by: "t1" } });
  const deep = nodeStarted("work", "t9", { namespace: "helper:c|inner:t8" });
  const log = logOf(nodeStarted("outer", "t1"), call, deep).snapshot();
  const frame = log.frames[2] as Frame;
  expect(ownerOf(log, frame)).toBe("outer");
  expect(pathOf(log, frame)).toEqual(["outer", "helper", "inner", "work"]);
});

test("parallel tasks and loops of a node of one name are counted by its own tasks", () => {
  const log = logOf(
    nodeStarted("work", "a"),
    nodeStarted("work", "b"),
    nodeStarted("work", "x", inside),
    ended("work", "x", inside),
    ended("work", "a"),
  );
  expect(log.snapshot().nodes.get("work")).toMatchObject({ started: 2, done: 1 });
  const again = logOf(nodeStarted("work", "a"), ended("work", "a"), nodeStarted("work", "b"));
  expect(stateOf(again, "work")).toBe("running");
});

test("only a run that runs has nodes that run", () => {
  const node = logOf(nodeStarted("ask", "t")).snapshot().nodes.get("ask");
  expect(nodeState(node, "running")).toBe("running");
  for (const status of ["interrupted", "sleeping", "pending"] as const) {
    expect(nodeState(node, status)).toBe("parked");
  }
});

test("what is about the run itself is counted, so that it is read again", () => {
  const names = ["created", "started", "node_started", "custom:x", "paused", "adjourned"];
  expect(logOf(...names.map((event) => ({ event }))).snapshot().changes).toBe(4);
});

test("news of the feed that has no event changes the run, and older news does not", () => {
  const run = { seq: 4, updated_at: "t4", status: "interrupted", error: null, payload: 1 } as Run;
  const news = { ...run, updated_at: "t5", status: "pending" } as Run;
  expect(withNews(run, news)).toMatchObject({ status: "pending", payload: 1 });
  expect(withNews(run, { ...news, updated_at: "t3" }).status).toBe("interrupted");
  expect(withNews(run, { ...news, seq: 3, updated_at: "t9" }).status).toBe("interrupted");
});

test("the steps of a graph inside are not the run's", () => {
  const checkpoint = (step: number, more: Partial<Frame> = {}) => ({
    event: "checkpoint",
    step,
    ...more,
  });
  const log = logOf(checkpoint(1), checkpoint(7, inside)).snapshot();
  expect([log.step, log.checkpoints]).toEqual([1, 2]);
});

test("a way past other nodes was not taken because both its ends were reached", () => {
  const step = (node: string, n: number) => [
    nodeStarted(node, `${node}${n}`, { step: n }),
    ended(node, `${node}${n}`, { step: n }),
  ];
  const log = logOf(
    { event: "started" },
    { event: "checkpoint", step: 20 }, // its thread had others before
    ...step("a", 21),
    ...step("b", 22),
    { event: "checkpoint", step: 22 },
    ...step("c", 23),
    { event: "resumed" },
    ...step("c", 24),
    { event: "completed" },
  );
  const taken = ["__start__ a", "a b", "a c", "b c", "c c", "c a", "b __end__", "c __end__"];
  const was = taken.map((way) =>
    log.snapshot().routes.has(routeOf(...(way.split(" ") as [string, string]))),
  );
  expect(was).toEqual([true, true, false, true, true, false, false, true]);
});
