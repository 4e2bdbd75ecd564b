import type { RunSummary } from "./types";

/** Whether `a` says no less of a run than `b`. Not every change of a run has an event. */
export function isNewer(a: Version, b: Version): boolean {
  return a.seq > b.seq || (a.seq === b.seq && a.updated_at >= b.updated_at);
}

type Version = Pick<RunSummary, "seq" | "updated_at">;
