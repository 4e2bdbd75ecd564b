import type { Page, RunSummary } from "@/shared/api/types";
import type { RunFilters } from "../search";

type Pages = readonly Page<RunSummary>[];

export interface Merged {
  pages: Page<RunSummary>[];
  /** New runs that belong on top of the list, newest first. */
  fresh: RunSummary[];
  /** Whether only the server can tell what belongs in the list. */
  unsure: boolean;
}

/**
 * `pages` with the news of `runs` worked in: known runs change in place or leave when they no
 * longer fit, new ones are handed back for the caller to put on top. News that is older than what
 * is known (by `seq`) changes nothing: REST and the feed overtake each other.
 */
export function merge(pages: Pages, runs: readonly RunSummary[], filters: RunFilters): Merged {
  const news = newest(runs);
  const merged = pages.map((page) => {
    if (!page.results.some((run) => news.has(run.id))) {
      return page;
    }
    const results = page.results.flatMap((known) => {
      const run = news.get(known.id);
      news.delete(known.id);
      const current = run && run.seq >= known.seq ? run : known;
      return fits(current, filters) ? [current] : [];
    });
    return { ...page, results };
  });
  const top = merged.flatMap((page) => page.results)[0];
  const fresh = [...news.values()]
    .filter((run) => fits(run, filters) && (!top || run.created_at >= top.created_at))
    .sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  return filters.q
    ? { pages: merged, fresh: [], unsure: fresh.length > 0 }
    : { pages: merged, fresh, unsure: false };
}

/** `pages` without the runs that were deleted. */
export function without(pages: Pages, deleted: ReadonlySet<string>): Page<RunSummary>[] {
  return pages.map((page) =>
    page.results.some((run) => deleted.has(run.id))
      ? { ...page, results: page.results.filter((run) => !deleted.has(run.id)) }
      : page,
  );
}

/** The runs that wait to be shown, after `news` of which `fresh` belong on top of the list. */
export function stack(
  held: RunSummary[],
  news: readonly RunSummary[],
  fresh: readonly RunSummary[],
  filters: RunFilters,
): RunSummary[] {
  const known = new Set(held.map((run) => run.id));
  const { pages } = merge([{ next: null, previous: null, results: held }], news, filters);
  return [...fresh.filter((run) => !known.has(run.id)), ...pages.flatMap((page) => page.results)];
}

function newest(runs: readonly RunSummary[]): Map<string, RunSummary> {
  const news = new Map<string, RunSummary>();
  for (const run of runs) {
    const known = news.get(run.id);
    if (!known || run.seq >= known.seq) {
      news.set(run.id, run);
    }
  }
  return news;
}

function fits(run: RunSummary, { status, workflow }: RunFilters): boolean {
  return (!status || run.status === status) && (!workflow || run.workflow === workflow);
}
