import { type InfiniteData, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { request, socketUrl } from "@/shared/api/client";
import { keys } from "@/shared/api/queries";
import type { Page, RunSummary } from "@/shared/api/types";
import { useComeback } from "@/shared/ui/comeback";
import { FeedStream } from "@/stream/feed-stream";
import type { StreamState } from "@/stream/state";
import type { RunFilters } from "../search";
import { runsQuery } from "./list-runs";
import { merge, stack, without } from "./merge";

type List = InfiniteData<Page<RunSummary>, string | null>;

const BATCH_MS = 100;
const ASK_AGAIN_MS = 1000;
/** Above this many rows on the first page the list is read anew, so that it does not grow for ever. */
const LONGEST_PAGE = 300;

export interface RunFeed {
  state: StreamState;
  /** New runs that wait for `release`, because showing them would move what is being read. */
  held: RunSummary[];
  release: () => void;
}

/** Keeps the list of runs that fit `filters` as the server has it. While `hold()` is true, new runs
 * wait. */
export function useRunFeed(filters: RunFilters, hold: () => boolean): RunFeed {
  const client = useQueryClient();
  const [state, setState] = useState<StreamState>("connecting");
  const [held, setHeld] = useState<RunSummary[]>([]);
  const [feed, setFeed] = useState<FeedStream<RunSummary> | null>(null);
  const holding = useRef(hold);
  holding.current = hold;
  const { status, workflow, q } = filters;

  useEffect(() => {
    const list = new LiveList(client, { status, workflow, q }, () => holding.current(), setHeld);
    const stream = new FeedStream<RunSummary>({
      url: () => socketUrl("/api/ws/", { workflow }),
      probe: () => request("/api/runs/", { query: { page_size: 1 } }),
      onReady: () => list.readAnew(),
      onRun: (run) => list.hear(run),
      onDeleted: (runId) => list.forget(runId),
      onState: setState,
    });
    stream.start();
    setFeed(stream);
    setHeld([]);
    return () => {
      stream.stop();
      list.stop();
    };
  }, [client, status, workflow, q]);

  useComeback(feed);
  const release = () => {
    if (held.length > 0) {
      setHeld([]);
      client.setQueryData<List>(runsQuery(filters).queryKey, (list) => list && onTop(list, held));
    }
  };
  return { state, held, release };
}

function onTop(list: List, fresh: RunSummary[]): List {
  const [first, ...rest] = list.pages;
  if (!first || fresh.length === 0) {
    return list;
  }
  return { ...list, pages: [{ ...first, results: [...fresh, ...first.results] }, ...rest] };
}

/** Works news into the cached list, a batch at a time: a hundred runs a second must not render the
 * page a hundred times. */
class LiveList {
  private readonly client: ReturnType<typeof useQueryClient>;
  private readonly filters: RunFilters;
  private readonly hold: () => boolean;
  private readonly setHeld: (change: (held: RunSummary[]) => RunSummary[]) => void;
  private news: RunSummary[] = [];
  private deleted = new Set<string>();
  private batch: ReturnType<typeof setTimeout> | undefined;
  private asking: ReturnType<typeof setTimeout> | undefined;

  constructor(
    client: ReturnType<typeof useQueryClient>,
    filters: RunFilters,
    hold: () => boolean,
    setHeld: (change: (held: RunSummary[]) => RunSummary[]) => void,
  ) {
    this.client = client;
    this.filters = filters;
    this.hold = hold;
    this.setHeld = setHeld;
  }

  hear(run: RunSummary): void {
    this.news.push(run);
    this.batch ??= setTimeout(() => this.apply(), BATCH_MS);
  }

  forget(runId: string): void {
    this.deleted.add(runId);
    this.batch ??= setTimeout(() => this.apply(), BATCH_MS);
  }

  readAnew(): void {
    clearTimeout(this.asking);
    this.asking = undefined;
    this.setHeld(() => []);
    // All lists, not only this one: those behind other filters missed the same news.
    this.client.invalidateQueries({ queryKey: keys.runs });
  }

  stop(): void {
    clearTimeout(this.batch);
    clearTimeout(this.asking);
  }

  private apply(): void {
    this.batch = undefined;
    // Deleted is the last that is heard of a run.
    const deleted = this.deleted;
    const news = this.news.filter((run) => !deleted.has(run.id));
    this.news = [];
    this.deleted = new Set();
    const { queryKey } = runsQuery(this.filters);
    const list = this.client.getQueryData<List>(queryKey);
    if (!list) {
      return;
    }
    const { pages, fresh, unsure } = merge(without(list.pages, deleted), news, this.filters);
    const next = { ...list, pages };
    const hold = this.hold();
    this.client.setQueryData<List>(queryKey, hold ? next : onTop(next, fresh));
    if (hold || deleted.size > 0) {
      this.setHeld((held) =>
        stack(
          held.filter((run) => !deleted.has(run.id)),
          news,
          hold ? fresh : [],
          this.filters,
        ),
      );
    }
    if (unsure || (next.pages[0]?.results.length ?? 0) > LONGEST_PAGE) {
      this.asking ??= setTimeout(() => this.restart(), ASK_AGAIN_MS);
    }
  }

  private restart(): void {
    this.client.setQueryData<List>(
      runsQuery(this.filters).queryKey,
      (list) => list && { pages: list.pages.slice(0, 1), pageParams: list.pageParams.slice(0, 1) },
    );
    this.readAnew();
  }
}
