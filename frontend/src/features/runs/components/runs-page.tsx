import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ArrowUp } from "lucide-react";
import { useCallback, useEffect } from "react";
import { useTitle } from "@/shared/hooks/use-title";
import { Button, buttonClass } from "@/shared/ui/button";
import { ConnectionPill } from "@/shared/ui/connection-pill";
import { Empty, ProblemNotice, Skeleton } from "@/shared/ui/notice";
import { runsQuery } from "../api/list-runs";
import { type RunFeed, useRunFeed } from "../api/use-run-feed";
import type { RunFilters } from "../search";
import { FilterBar } from "./filter-bar";
import { COLUMNS, RunRow } from "./run-row";

const route = getRouteApi("/");

/** Whether somebody reads below the top, where new rows would push the text away. */
const readsBelow = () => window.scrollY > 120;

/** All runs, newest first, as they are now. */
export function RunsPage() {
  useTitle("Runs");
  const filters = route.useSearch();
  const navigate = route.useNavigate();
  const feed = useRunFeed(filters, readsBelow);
  const list = useInfiniteQuery(runsQuery(filters));
  const runs = list.data?.pages.flatMap((page) => page.results);
  const filter = useCallback(
    (search: RunFilters) => navigate({ search, replace: true }),
    [navigate],
  );
  useReleaseAtTop(feed);
  return (
    <main className="mx-auto flex w-full max-w-[100rem] flex-col gap-5 px-4 py-6 sm:px-6">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-3">
        <h1 className="text-xl font-semibold tracking-tight">Runs</h1>
        <ConnectionPill state={feed.state} />
      </div>
      <FilterBar filters={filters} onChange={filter} />
      {list.error && <ProblemNotice error={list.error} retry={() => list.refetch()} />}
      {feed.waiting.length > 0 && (
        <div className="sticky top-16 z-10 -mb-5 flex h-0 justify-center">
          <Button
            look="primary"
            className="rounded-full shadow-lg"
            onClick={() => window.scrollTo({ top: 0 })}
          >
            <ArrowUp aria-hidden className="size-4" />
            {feed.waiting.length === 1 ? "1 new run" : `${feed.waiting.length} new runs`}
          </Button>
        </div>
      )}
      <section
        aria-label="List of runs"
        aria-busy={list.isPlaceholderData || list.isPending}
        className={`overflow-hidden rounded-xl border border-line bg-panel transition-opacity ${list.isPlaceholderData ? "opacity-60" : ""}`}
      >
        <Head />
        {runs && runs.length > 0 && (
          <ul>
            {runs.map((run) => (
              <RunRow key={run.id} run={run} />
            ))}
          </ul>
        )}
        {runs?.length === 0 && !list.hasNextPage && (
          <NoRuns filtered={Object.values(filters).some(Boolean)} />
        )}
        {list.isPending && !list.error && <Skeleton rows={8} className="h-8" />}
      </section>
      {list.hasNextPage && (
        <Button
          className="self-center"
          disabled={list.isFetchingNextPage}
          onClick={() => list.fetchNextPage()}
        >
          {list.isFetchingNextPage ? "Loading…" : "Load more"}
        </Button>
      )}
    </main>
  );
}

/** Shows the runs that waited as soon as the top is reached, by whatever means. */
function useReleaseAtTop({ waiting, release }: RunFeed): void {
  const hasWaiting = waiting.length > 0;
  useEffect(() => {
    if (!hasWaiting) {
      return;
    }
    const look = () => !readsBelow() && release();
    window.addEventListener("scroll", look, { passive: true });
    return () => window.removeEventListener("scroll", look);
  }, [hasWaiting, release]);
}

function Head() {
  return (
    <div
      aria-hidden
      className={`hidden h-10 border-b md:grid border-line px-4 text-xs font-medium text-faint ${COLUMNS}`}
    >
      <span>Status</span>
      <span>Run</span>
      <span>Workflow</span>
      <span>Started</span>
      <span className="text-right">Duration</span>
      <span className="text-right">Step</span>
    </div>
  );
}

function NoRuns({ filtered }: { filtered: boolean }) {
  if (filtered) {
    return <Empty title="No run fits these filters">Clear them to see all runs.</Empty>;
  }
  return (
    <Empty title="No runs yet">
      <p className="mb-4">A run is one execution of a workflow. Start one and watch it here.</p>
      <Link to="/new" className={buttonClass("primary")}>
        Start the first run
      </Link>
    </Empty>
  );
}
