import type { Frame } from "@/stream/frame";

export type NodeState = "waiting" | "running" | "done" | "failed" | "stopped";

/** How far one node is: it may run as many tasks at once, and again in later steps. */
export interface NodeProgress {
  started: number;
  done: number;
  retries: number;
  failed: boolean;
  stopped: boolean;
}

const UNTOUCHED: NodeProgress = { started: 0, done: 0, retries: 0, failed: false, stopped: false };

export function nodeState(progress: NodeProgress = UNTOUCHED): NodeState {
  if (progress.failed) {
    return "failed";
  }
  if (progress.started > progress.done) {
    return progress.stopped ? "stopped" : "running";
  }
  return progress.done > 0 ? "done" : "waiting";
}

/** What the events of a run say about its nodes, one event at a time. */
export class Progress {
  private nodes = new Map<string, NodeProgress>();
  private tasks = new Set<string>();
  private taken: ReadonlyMap<string, NodeProgress> | null = null;

  /** The nodes as they are; the same object as before while nothing changed. */
  get snapshot(): ReadonlyMap<string, NodeProgress> {
    this.taken ??= new Map(this.nodes);
    return this.taken;
  }

  apply(frame: Frame): void {
    const { event, node } = frame;
    if (event === "started" || event === "recovered") {
      this.begin();
    } else if (event === "completed" || event === "cancelled" || event === "failed") {
      this.end(event, node ?? text(frame.data, "node"));
    } else if (node) {
      this.step(event, node, frame.data);
    }
  }

  private set(node: string, progress: NodeProgress): void {
    this.nodes.set(node, progress);
    this.taken = null;
  }

  private step(event: string, node: string, data: unknown): void {
    const before = this.nodes.get(node) ?? UNTOUCHED;
    if (event === "node_started") {
      // A task that is tried again is still one task.
      const task = text(data, "task_id");
      const known = task !== undefined && this.tasks.has(task);
      if (task !== undefined) {
        this.tasks.add(task);
      }
      this.set(node, { ...before, started: before.started + (known ? 0 : 1) });
    } else if (event === "node_update") {
      const done = before.done + 1;
      this.set(node, { ...before, done, started: Math.max(before.started, done) });
    } else if (event === "retry") {
      this.set(node, { ...before, retries: before.retries + 1 });
    }
  }

  /** A new attempt: what was under way is not any more, and starts again if it has to. */
  private begin(): void {
    this.tasks.clear();
    for (const [node, progress] of this.nodes) {
      this.set(node, { ...progress, started: progress.done });
    }
    this.set("__start__", { ...UNTOUCHED, started: 1, done: 1 });
  }

  private end(event: string, failing: string | undefined): void {
    for (const [node, progress] of this.nodes) {
      this.set(node, { ...progress, stopped: true });
    }
    if (event === "failed" && failing) {
      this.set(failing, { ...(this.nodes.get(failing) ?? UNTOUCHED), failed: true });
    }
    if (event === "completed") {
      this.set("__end__", { ...UNTOUCHED, started: 1, done: 1 });
    }
  }
}

/** The text at `key` of `data`, if there is one. */
export function text(data: unknown, key: string): string | undefined {
  const value =
    typeof data === "object" && data !== null ? (data as Record<string, unknown>)[key] : undefined;
  return typeof value === "string" ? value : undefined;
}
