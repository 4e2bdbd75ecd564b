import type { RunSummary } from "@/shared/api/types";

const KEPT_MS = 30_000;

/**
 * The news of the last half a minute, the newest of each run. An answer of REST that was asked for
 * before a change may come after the news of it: these are worked into it again.
 */
export class RecentNews {
  private readonly runs = new Map<string, { at: number; run: RunSummary }>();
  private readonly gone = new Map<string, number>();

  add(runs: readonly RunSummary[], deleted: ReadonlySet<string>, now: number): void {
    for (const run of runs) {
      // Behind all others: the oldest come first.
      this.runs.delete(run.id);
      this.runs.set(run.id, { at: now, run });
    }
    for (const id of deleted) {
      this.runs.delete(id);
      this.gone.set(id, now);
    }
    this.forget(now - KEPT_MS);
  }

  get changed(): RunSummary[] {
    return [...this.runs.values()].map(({ run }) => run);
  }

  get deleted(): ReadonlySet<string> {
    return new Set(this.gone.keys());
  }

  private forget(before: number): void {
    for (const [id, { at }] of this.runs) {
      if (at >= before) {
        break;
      }
      this.runs.delete(id);
    }
    for (const [id, at] of this.gone) {
      if (at >= before) {
        break;
      }
      this.gone.delete(id);
    }
  }
}
