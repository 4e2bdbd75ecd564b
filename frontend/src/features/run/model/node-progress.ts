import { eventName, kindOf, type RunStatus } from "@/stream/event-kinds";
import type { Frame } from "@/stream/frame";

/** `parked`: it began, and its run waits, sleeps, is paused or is queued meanwhile. */
export type NodeState = "waiting" | "running" | "parked" | "done" | "failed" | "stopped";

/** How far one node is: it may run as many tasks at once, and again in later steps. */
export interface NodeProgress {
  started: number;
  done: number;
  retries: number;
  failed: boolean;
  stopped: boolean;
}

const UNTOUCHED: NodeProgress = { started: 0, done: 0, retries: 0, failed: false, stopped: false };

/** How a node is, in a run of `status`: only a run that runs has nodes that run. */
export function nodeState(
  progress: NodeProgress = UNTOUCHED,
  status: RunStatus = "running",
): NodeState {
  if (progress.failed) {
    return "failed";
  }
  if (progress.started > progress.done) {
    if (progress.stopped) {
      return "stopped";
    }
    return status === "running" ? "running" : "parked";
  }
  return progress.done > 0 ? "done" : "waiting";
}

/**
 * What the events of a run say about the nodes of its graph, one event at a time.
 *
 * A name is no identity: a node of a subgraph, or a task that a node calls, may be called as
 * another node is. What they do belongs to the outermost node around them (`ownerOf`), and does
 * not count as one of its own tasks.
 */
export class ProgressTracker {
  private nodes = new Map<string, NodeProgress>();
  private tasks = new Set<string>();
  private readonly routes = new Routes();
  /** The outermost node of each task and of each call, by its id. */
  private owners = new Map<string, string>();
  private calls = new Set<string>();
  private copy: ReadonlyMap<string, NodeProgress> | null = null;

  /** The nodes as they are; the same object as before while nothing changed. */
  get snapshot(): ReadonlyMap<string, NodeProgress> {
    this.copy ??= new Map(this.nodes);
    return this.copy;
  }

  /** Which nodes ran one superstep after which, by `routeOf`; the same object while it grows. */
  get taken(): ReadonlySet<string> {
    return this.routes.taken;
  }

  apply(frame: Frame): void {
    const kind = kindOf(frame.event);
    if (kind?.terminal) {
      this.finish(frame);
    } else if (kind?.status === "running") {
      this.startAttempt();
    } else if (eventName(frame.event) === "checkpoint" && !frame.namespace) {
      this.routes.setInputStep(frame.step ?? 0);
    } else if (frame.node) {
      this.recordOwner(frame, frame.node);
      if (!frame.namespace && !this.isCall(frame)) {
        this.step(frame, frame.node);
      }
    }
  }

  /** The node of the graph that `frame` belongs to: its own, or the one around it. */
  ownerOf({ namespace, task_id, node }: Frame): string | undefined {
    if (namespace) {
      const [name, task] = (namespace.split("|", 1)[0] as string).split(":");
      return this.owners.get(task ?? "") ?? name;
    }
    return this.owners.get(task_id ?? "") ?? node;
  }

  private recordOwner(frame: Frame, node: string): void {
    const { event, namespace, data } = frame;
    const task = text(data, "task_id");
    if (eventName(event) !== "node_started" || namespace || task === undefined) {
      return;
    }
    const caller = text(data, "called_by");
    this.owners.set(task, this.owners.get(caller ?? "") ?? node);
    if (caller !== undefined) {
      this.calls.add(task);
    }
  }

  private isCall({ task_id, data }: Frame): boolean {
    return this.calls.has(task_id ?? text(data, "task_id") ?? "");
  }

  private set(node: string, progress: NodeProgress): void {
    this.nodes.set(node, progress);
    this.copy = null;
  }

  private step({ event, data, step = 0 }: Frame, node: string): void {
    this.routes.addNode(node, step);
    const before = this.nodes.get(node) ?? UNTOUCHED;
    const name = eventName(event);
    if (name === "node_started") {
      // A task that is tried again is still one task.
      const task = text(data, "task_id");
      const known = task !== undefined && this.tasks.has(task);
      if (task !== undefined) {
        this.tasks.add(task);
      }
      this.set(node, { ...before, started: before.started + (known ? 0 : 1) });
    } else if (name === "node_update") {
      const done = before.done + 1;
      this.set(node, { ...before, done, started: Math.max(before.started, done) });
    } else if (name === "retry") {
      this.set(node, { ...before, retries: before.retries + 1 });
    }
  }

  /** A new attempt: what was under way is not any more, and starts again if it has to. */
  private startAttempt(): void {
    this.tasks.clear();
    for (const [node, progress] of this.nodes) {
      this.set(node, { ...progress, started: progress.done });
    }
    this.set("__start__", { ...UNTOUCHED, started: 1, done: 1 });
  }

  private finish(frame: Frame): void {
    for (const [node, progress] of this.nodes) {
      this.set(node, { ...progress, stopped: true });
    }
    const node = frame.node ?? text(frame.data, "node");
    const failing = node && this.ownerOf({ ...frame, node });
    if (eventName(frame.event) === "failed" && failing) {
      this.set(failing, { ...(this.nodes.get(failing) ?? UNTOUCHED), failed: true });
    }
    if (eventName(frame.event) === "completed") {
      this.routes.finish();
      this.set("__end__", { ...UNTOUCHED, started: 1, done: 1 });
    }
  }
}

/** The name of the way from one node to another. */
export function routeOf(source: string, target: string): string {
  return JSON.stringify([source, target]);
}

/** Which nodes ran right after which: the ways that routers may have taken. A way past other nodes
 * is not taken because both its ends were reached. */
class Routes {
  readonly taken = new Set<string>();
  private before = new Set<string>();
  private now = new Set(["__start__"]);
  private step: number | null = null;

  /** The run has taken in what it was given, at this step of its thread. */
  setInputStep(step: number): void {
    this.step ??= step;
  }

  addNode(node: string, step: number): void {
    if (step !== this.step) {
      this.before = step === (this.step ?? 0) + 1 ? this.now : new Set();
      this.now = new Set();
      this.step = step;
    }
    if (!this.now.has(node)) {
      this.now.add(node);
      for (const source of this.before) {
        this.taken.add(routeOf(source, node));
      }
    }
  }

  finish(): void {
    for (const source of this.now) {
      this.taken.add(routeOf(source, "__end__"));
    }
  }
}

/** The text at `key` of `data`, if there is one. */
export function text(data: unknown, key: string): string | undefined {
  const value =
    typeof data === "object" && data !== null ? (data as Record<string, unknown>)[key] : undefined;
  return typeof value === "string" ? value : undefined;
}
