import { hashKey, type InfiniteData, type QueryClient } from "@tanstack/react-query";
import { keys } from "@/shared/api/queries";
import type { Page, RunSummary } from "@/shared/api/types";
import type { RunFilters } from "../search";
import { PAGE_SIZE, runsQuery } from "./list-runs";
import { merge, stack, without } from "./merge";
import { RecentNews } from "./recent-news";

export type List = InfiniteData<Page<RunSummary>, string | null>;

const BATCH_MS = 100;
const ASK_AGAIN_MS = 1000;
/** Above this many rows on one page the list is read anew, so that it does not grow for ever. */
const LONGEST_PAGE = 300;

type SetWaiting = (change: (waiting: RunSummary[]) => RunSummary[]) => void;

export interface LiveListOptions {
  client: QueryClient;
  filters: RunFilters;
  /** Whether new runs have to wait. */
  hold: () => boolean;
  setWaiting: SetWaiting;
}

/** `list` with those of the `fresh` runs that it lacks above all others. */
export function onTop(list: List, fresh: RunSummary[]): List {
  const [first, ...rest] = list.pages;
  const missing = fresh.length > 0 ? unlisted(list, fresh) : [];
  if (!first || missing.length === 0) {
    return list;
  }
  return { ...list, pages: [{ ...first, results: [...missing, ...first.results] }, ...rest] };
}

function unlisted(list: List, runs: RunSummary[]): RunSummary[] {
  const listed = new Set(list.pages.flatMap(({ results }) => results.map(({ id }) => id)));
  return runs.filter(({ id }) => !listed.has(id));
}

/** Works news into the cached list, a batch at a time: a hundred runs a second must not render the
 * page a hundred times. */
export class LiveList {
  private readonly options: LiveListOptions;
  private readonly recent = new RecentNews();
  private readonly unsubscribe: () => void;
  private news: RunSummary[] = [];
  private deleted = new Set<string>();
  private batch: ReturnType<typeof setTimeout> | undefined;
  private asking: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LiveListOptions) {
    this.options = options;
    const queryHash = hashKey(runsQuery(options.filters).queryKey);
    this.unsubscribe = options.client.getQueryCache().subscribe((event) => {
      const isAnswer =
        event.type === "updated" && event.action.type === "success" && !event.action.manual;
      if (isAnswer && event.query.queryHash === queryHash) {
        // After the others that listen: they have the answer, and then this.
        queueMicrotask(() => this.answered());
      }
    });
  }

  add(run: RunSummary): void {
    this.news.push(run);
    this.batch ??= setTimeout(() => this.apply(), BATCH_MS);
  }

  remove(runId: string): void {
    this.deleted.add(runId);
    this.batch ??= setTimeout(() => this.apply(), BATCH_MS);
  }

  readAnew(): void {
    clearTimeout(this.asking);
    this.asking = undefined;
    this.options.setWaiting(() => []);
    // All lists, not only this one: those with other filters missed the same news.
    this.options.client.invalidateQueries({ queryKey: keys.runs });
  }

  stop(): void {
    this.unsubscribe();
    clearTimeout(this.batch);
    clearTimeout(this.asking);
  }

  /** The server has read the list: what it has waits no longer, what changed since goes in again. */
  private answered(): void {
    const { client, filters, setWaiting } = this.options;
    const list = client.getQueryData<List>(runsQuery(filters).queryKey);
    if (list) {
      setWaiting((waiting) => (waiting.length > 0 ? unlisted(list, waiting) : waiting));
    }
    this.work(this.recent.changed, this.recent.deleted, true);
  }

  private apply(): void {
    this.batch = undefined;
    // No news of a run follows its deletion.
    const deleted = this.deleted;
    const news = this.news.filter((run) => !deleted.has(run.id));
    this.news = [];
    this.deleted = new Set();
    this.recent.add(news, deleted, Date.now());
    this.work(news, deleted);
  }

  /** `answered`: the server has just answered, and is not asked again. */
  private work(news: readonly RunSummary[], deleted: ReadonlySet<string>, answered = false): void {
    const { client, filters, setWaiting } = this.options;
    const { queryKey } = runsQuery(filters);
    const list = client.getQueryData<List>(queryKey);
    if (!list || (news.length === 0 && deleted.size === 0)) {
      return;
    }
    const { pages, fresh, unsure } = merge(without(list.pages, deleted), news, filters);
    const hold = this.options.hold();
    const next = hold ? { ...list, pages } : onTop({ ...list, pages }, fresh);
    client.setQueryData<List>(queryKey, next);
    if (hold || deleted.size > 0) {
      setWaiting((waiting) =>
        stack(
          waiting.filter((run) => !deleted.has(run.id)),
          news,
          hold ? fresh : [],
          filters,
        ),
      );
    }
    if (next.pages.some(({ results }) => results.length > LONGEST_PAGE)) {
      this.asking ??= setTimeout(() => this.restart(), ASK_AGAIN_MS);
    } else if ((unsure && !answered) || isThin(next.pages)) {
      this.asking ??= setTimeout(() => this.readAnew(), ASK_AGAIN_MS);
    }
  }

  private restart(): void {
    this.options.client.setQueryData<List>(
      runsQuery(this.options.filters).queryKey,
      (list) => list && { pages: list.pages.slice(0, 1), pageParams: list.pageParams.slice(0, 1) },
    );
    this.readAnew();
  }
}

/** Whether so many runs have left the list that the next page should be read. */
function isThin(pages: readonly Page<RunSummary>[]): boolean {
  const rows = pages.reduce((sum, { results }) => sum + results.length, 0);
  return Boolean(pages.at(-1)?.next) && rows < PAGE_SIZE / 2;
}
