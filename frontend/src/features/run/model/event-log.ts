import type { Artifact, Run, RunSummary } from "@/shared/api/types";
import { isNewer } from "@/shared/api/version";
import { eventName, isAboutRun, kindOf, type RunStatus, statusAfter } from "@/stream/event-kinds";
import type { Frame } from "@/stream/frame";
import { type NodeProgress, ProgressTracker, text } from "./node-progress";

/** What follows from the events that have arrived. A snapshot never changes: a new one replaces it. */
export interface LogSnapshot {
  frames: readonly Frame[];
  seq: number;
  step: number;
  status: RunStatus | null;
  /** The newest event that paused the run, or ended its pause. */
  pauseEvent: { seq: number; pause: Run["pause"] } | null;
  startedAt: string | null;
  finishedAt: string | null;
  nodes: ReadonlyMap<string, NodeProgress>;
  /** The ways between nodes that were taken, by `routeOf`. Grows in place. */
  routes: ReadonlySet<string>;
  /** By `seq`, the node of the graph that an event from inside one belongs to. Grows with `frames`
   * in place: there may be as many. */
  owners: ReadonlyMap<number, string>;
  /** How many events were about the run itself: with each, more of it may have changed. */
  changes: number;
  /** How often each event name came, in order of first appearance. */
  names: ReadonlyMap<string, number>;
  artifacts: readonly Artifact[];
  checkpoints: number;
}

const NOTHING: LogSnapshot = {
  frames: [],
  seq: 0,
  step: 0,
  status: null,
  pauseEvent: null,
  startedAt: null,
  finishedAt: null,
  nodes: new Map(),
  routes: new Set(),
  owners: new Map(),
  changes: 0,
  names: new Map(),
  artifacts: [],
  checkpoints: 0,
};

const SOON_MS = 16;
const FLOOD = 50;
const FLOOD_MS = 120;

/** The events of one run, collected for the page: frames go in one by one, snapshots come out at
 * most once a screen refresh, and less often while thousands arrive: nobody reads those. */
export class EventLog {
  private readonly progress = new ProgressTracker();
  private readonly listeners = new Set<() => void>();
  private readonly owners = new Map<number, string>();
  private waiting: Frame[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private current: LogSnapshot = {
    ...NOTHING,
    routes: this.progress.taken,
    owners: this.owners,
  };
  private pause = SOON_MS;

  readonly snapshot = (): LogSnapshot => this.current;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  push(frame: Frame): void {
    this.waiting.push(frame);
    this.timer ??= setTimeout(() => this.flush(), this.pause);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const frames = this.waiting;
    this.waiting = [];
    if (frames.length === 0) {
      return;
    }
    this.pause = frames.length > FLOOD ? FLOOD_MS : SOON_MS;
    const next = { ...this.current, names: new Map(this.current.names) };
    const artifacts = [...next.artifacts];
    for (const frame of frames) {
      this.progress.apply(frame);
      const owner = this.progress.ownerOf(frame);
      if (owner !== undefined && owner !== frame.node) {
        this.owners.set(frame.seq, owner);
      }
      next.seq = frame.seq;
      next.names.set(frame.event, (next.names.get(frame.event) ?? 0) + 1);
      applyFrame(next, frame);
      const artifact = artifactIn(frame);
      if (artifact) {
        artifacts.push(artifact);
      }
    }
    next.frames = [...next.frames, ...frames];
    next.nodes = this.progress.snapshot;
    next.artifacts = artifacts;
    this.current = next;
    for (const listener of this.listeners) {
      listener();
    }
  }
}

function applyFrame(snapshot: LogSnapshot, frame: Frame): void {
  const { event, ts, namespace, step = 0 } = frame;
  snapshot.status = statusAfter(event, snapshot.status);
  snapshot.pauseEvent = pauseIn(frame) ?? snapshot.pauseEvent;
  if (isAboutRun(event)) {
    snapshot.changes++;
  }
  const kind = kindOf(event);
  if (kind?.terminal) {
    snapshot.finishedAt = ts;
  } else if (kind?.status === "running") {
    snapshot.startedAt ??= ts;
  } else if (eventName(event) === "checkpoint") {
    snapshot.checkpoints++;
    // A graph inside counts its own steps.
    snapshot.step = namespace ? snapshot.step : Math.max(snapshot.step, step);
  }
}

/** What an event changes in the pause of its run. The pause of a workflow is none of the run's. */
function pauseIn({ event, seq, ts, data }: Frame): LogSnapshot["pauseEvent"] {
  const name = eventName(event);
  if (name === "unpaused") {
    return { seq, pause: null };
  }
  if (name !== "paused" || text(data, "workflow") !== undefined) {
    return null;
  }
  const by = text(data, "by") ?? "";
  return { seq, pause: { paused_at: ts, by, reason: text(data, "reason") ?? "" } };
}

/** The node of the graph that `frame` belongs to: its own, or the one around it. */
export function ownerOf(log: LogSnapshot, frame: Frame): string | undefined {
  return log.owners.get(frame.seq) ?? frame.node;
}

/** The nodes around a graph that is at `namespace`, the outermost first. */
export function nodesAround(namespace = ""): string[] {
  return namespace ? namespace.split("|").map((place) => place.split(":")[0] as string) : [];
}

/** Where `frame` comes from, the outermost node first. */
export function pathOf(log: LogSnapshot, frame: Frame): string[] {
  const path = nodesAround(frame.namespace);
  const owner = log.owners.get(frame.seq);
  if (owner !== undefined && path[0] !== owner) {
    path.unshift(owner);
  }
  return frame.node ? [...path, frame.node] : path;
}

function artifactIn(frame: Frame): Artifact | null {
  const id = text(frame.data, "artifact_id");
  if (eventName(frame.event) !== "artifact" || id === undefined) {
    return null;
  }
  const data = frame.data as Partial<Artifact>;
  return {
    id,
    artifact_id: id,
    run: frame.run_id,
    node: frame.node ?? "",
    name: data.name ?? id,
    media_type: data.media_type ?? "",
    size: data.size ?? 0,
    sha256: data.sha256 ?? "",
    created_at: frame.ts,
    url: `/api/artifacts/${id}`,
  };
}

/** `run` with the news of the feed, unless they are older. */
export function withNews(run: Run, news: RunSummary): Run {
  if (!isNewer(news, run)) {
    return run;
  }
  const error = news.error && { traceback: null, ...news.error, ...run.error };
  return { ...run, ...news, error };
}

/** `run` as it is by now: the answer of REST with the changes of newer events. */
export function current(run: Run, log: LogSnapshot): Run {
  const newer = log.seq > run.seq;
  return {
    ...run,
    status: newer && log.status ? log.status : run.status,
    pause: log.pauseEvent && log.pauseEvent.seq > run.seq ? log.pauseEvent.pause : run.pause,
    seq: Math.max(run.seq, log.seq),
    step: Math.max(run.step, log.step),
    started_at: run.started_at ?? log.startedAt,
    finished_at: run.finished_at ?? log.finishedAt,
  };
}

/** The artifacts of REST and those of events, each once, oldest first. */
export function allArtifacts(
  listed: readonly Artifact[],
  fromEvents: readonly Artifact[],
): Artifact[] {
  const all = new Map([...fromEvents, ...listed].map((artifact) => [artifact.id, artifact]));
  return [...all.values()].sort((a, b) =>
    a.created_at === b.created_at ? 0 : a.created_at < b.created_at ? -1 : 1,
  );
}
