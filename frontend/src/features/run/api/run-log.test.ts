import { expect, test } from "vitest";
import type { Artifact, Run } from "@/shared/api/types";
import type { Frame } from "@/stream/frame";
import { nodeState } from "./progress";
import { allArtifacts, current, RunLog } from "./run-log";

function logOf(...events: Partial<Frame>[]) {
  const log = new RunLog();
  events.forEach((event, index) => {
    log.push({ event: "custom", seq: index + 1, run_id: "r", ts: `t${index + 1}`, ...event });
  });
  log.flush();
  return log;
}

const stateOf = (log: RunLog, node: string) => nodeState(log.snapshot().nodes.get(node));

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
  const begin = [
    { event: "node_started", node: "a" },
    { event: "node_started", node: "b" },
  ];
  const log = logOf(...begin, { event: "failed", data: { node: "b", message: "no" } });
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

test("an artifact that REST and an event know is one", () => {
  const artifact = (id: string, created_at: string) => ({ id, created_at }) as Artifact;
  const all = allArtifacts(
    [artifact("b", "2"), artifact("a", "1")],
    [artifact("b", "2"), artifact("c", "3")],
  );
  expect(all.map(({ id }) => id)).toEqual(["a", "b", "c"]);
});
