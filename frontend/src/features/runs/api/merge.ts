import type { Page, RunSummary } from "@/shared/api/types";
import { isNewer } from "@/shared/api/version";
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
 * longer fit, others that have come to fit take their place among the loaded ones, and those newer
 * than all of these are handed back for the caller to put on top. News that is older than what is
 * known changes nothing: REST and the feed overtake each other.
 */
export function merge(pages: Pages, runs: readonly RunSummary[], filters: RunFilters): Merged {
  const news = newest(runs);
  const merged = pages.map((page) => withKnown(page, news, filters));
  const others = [...news.values()].filter((run) => fits(run, filters)).sort(order);
  if (filters.q) {
    return { pages: merged, fresh: [], unsure: others.some((run) => mayMatch(run, filters.q)) };
  }
  const top = merged.flatMap((page) => page.results)[0];
  const isFresh = (run: RunSummary) => !top || order(run, top) < 0;
  for (const run of others.filter((run) => !isFresh(run))) {
    insert(merged, run);
  }
  return { pages: merged, fresh: others.filter(isFresh), unsure: false };
}

/** `page` with the news of its own runs, which are taken out of `news`. */
function withKnown(
  page: Page<RunSummary>,
  news: Map<string, RunSummary>,
  filters: RunFilters,
): Page<RunSummary> {
  if (!page.results.some((run) => news.has(run.id))) {
    return page;
  }
  const results = page.results.flatMap((known) => {
    const run = news.get(known.id);
    news.delete(known.id);
    const current = run && isNewer(run, known) ? run : known;
    return fits(current, filters) ? [current] : [];
  });
  return { ...page, results };
}

/** Puts `run` into its place among the loaded runs; nowhere when it belongs to a page that is not
 * loaded yet. */
function insert(pages: Page<RunSummary>[], run: RunSummary): void {
  const index = pages.findIndex(({ results, next }) => {
    const last = results.at(-1);
    return !next || (last !== undefined && order(run, last) < 0);
  });
  const page = pages[index];
  if (page) {
    pages[index] = { ...page, results: [...page.results, run].sort(order) };
  }
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
  waiting: RunSummary[],
  news: readonly RunSummary[],
  fresh: readonly RunSummary[],
  filters: RunFilters,
): RunSummary[] {
  const known = new Set(waiting.map((run) => run.id));
  const changed = newest(news.filter((run) => known.has(run.id)));
  const { results } = withKnown({ next: null, previous: null, results: waiting }, changed, filters);
  return [...fresh.filter((run) => !known.has(run.id)), ...results].sort(order);
}

/** The order of the list: newest first, as the server has it. */
function order(a: RunSummary, b: RunSummary): number {
  if (a.created_at !== b.created_at) {
    return a.created_at < b.created_at ? 1 : -1;
  }
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1;
}

function newest(runs: readonly RunSummary[]): Map<string, RunSummary> {
  const news = new Map<string, RunSummary>();
  for (const run of runs) {
    const known = news.get(run.id);
    if (!known || isNewer(run, known)) {
      news.set(run.id, run);
    }
  }
  return news;
}

function fits(run: RunSummary, { status, workflow }: RunFilters): boolean {
  return (!status || run.status === status) && (!workflow || run.workflow === workflow);
}

const PART_OF_ID = /^[\s\u2026-]*[0-9a-f][0-9a-f\s\u2026-]*$/i;

/** Whether the server may find `run` by the text: it decides, and is not asked when it cannot. */
function mayMatch({ id, name, workflow }: RunSummary, q = ""): boolean {
  const text = folded(q.trim());
  const named = folded(name).includes(text) || folded(workflow).includes(text);
  const digits = q.replace(/[^0-9a-f]/gi, "").toLowerCase();
  return named || (PART_OF_ID.test(q) && id.replaceAll("-", "").includes(digits));
}

function folded(text: string): string {
  return text.normalize("NFKD").toUpperCase().toLowerCase();
}
