import { getRouteApi, Link } from "@tanstack/react-router";
import { lazy, Suspense, useCallback } from "react";
import { Problem } from "@/shared/api/problem";
import { loadLater } from "@/shared/later";
import { buttonClass } from "@/shared/ui/button";
import { Empty, ProblemNotice, Skeleton } from "@/shared/ui/notice";
import { Panel } from "@/shared/ui/panel";
import { type Tab, Tabs } from "@/shared/ui/tabs";
import { eventName } from "@/stream/event-kinds";
import { useRun } from "../api/use-run";
import { current, type LogSnapshot, pathOf } from "../model/event-log";
import type { RunSearch, RunTab } from "../search";
import { ArtifactsPane } from "./artifacts-pane";
import { CheckpointsPane } from "./checkpoints-pane";
import { EventsPane } from "./events-pane";
import { InputPane } from "./input-pane";
import { RunHeader } from "./run-header";
import { StatePane } from "./state-pane";

const GraphPane = lazy(() => loadLater(() => import("./graph-pane")));
const route = getRouteApi("/runs/$runId");

/** One run, as it is now: what it is, its graph, and all that it did. */
export function RunPage() {
  const { runId } = route.useParams();
  return <RunView key={runId} runId={runId} />;
}

function RunView({ runId }: { runId: string }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { query, connection, end, log } = useRun(runId);
  const look = useCallback(
    (change: RunSearch) =>
      navigate({ search: (before) => ({ ...before, ...change }), replace: true }),
    [navigate],
  );
  const selectNode = useCallback(
    (node: string | undefined) => look({ node, tab: "events" }),
    [look],
  );

  if (!query.data) {
    return (
      <main className="mx-auto w-full max-w-[100rem] px-4 py-6 sm:px-6">
        {query.error ? (
          <NoRun error={query.error} retry={() => query.refetch()} />
        ) : (
          <Skeleton rows={6} className="h-10" />
        )}
      </main>
    );
  }
  const run = current(query.data, log);
  const tab = search.tab ?? "events";
  const tabs: Tab<RunTab>[] = [
    { key: "events", label: "Events", count: log.frames.length },
    { key: "state", label: "State" },
    { key: "checkpoints", label: "Checkpoints", count: log.checkpoints },
    { key: "input", label: "Input" },
  ];
  return (
    <main className="mx-auto flex w-full max-w-[100rem] flex-1 flex-col gap-4 px-4 py-5 sm:px-6 lg:h-[calc(100dvh-3.5rem)] lg:min-h-[36rem] lg:flex-none">
      <RunHeader
        run={run}
        connection={connection}
        end={end}
        seq={log.seq}
        failedIn={failurePath(log)}
      />
      <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] gap-4 lg:grid-cols-[minmax(0,5fr)_minmax(0,7fr)]">
        <div className="flex min-h-0 flex-col gap-4">
          <Panel title="Graph" className="h-96 lg:h-auto lg:flex-1">
            <Suspense fallback={null}>
              <GraphPane
                workflow={run.workflow}
                nodes={log.nodes}
                routes={log.routes}
                status={run.status}
                selected={search.node}
                onSelect={selectNode}
              />
            </Suspense>
          </Panel>
          <ArtifactsPane
            runId={runId}
            fromEvents={log.artifacts}
            live={run.finished_at === null}
            className="max-h-72 min-h-32 lg:max-h-[38%]"
          />
        </div>
        <div className="flex h-[80dvh] min-h-0 flex-col overflow-hidden rounded-xl border border-line bg-panel lg:h-auto">
          <Tabs
            label="What the run did"
            tabs={tabs}
            selected={tab}
            onSelect={(key) => look({ tab: key })}
            className="flex-1"
          >
            {tab === "events" && (
              <EventsPane log={log} live={run.finished_at === null} search={search} onLook={look} />
            )}
            {tab === "state" && (
              <StatePane
                runId={runId}
                checkpoint={search.checkpoint}
                count={log.checkpoints}
                onNewest={() => look({ checkpoint: undefined })}
              />
            )}
            {tab === "checkpoints" && (
              <CheckpointsPane
                runId={runId}
                count={log.checkpoints}
                onLook={(checkpoint) => look({ checkpoint, tab: "state" })}
              />
            )}
            {tab === "input" && <InputPane run={run} />}
          </Tabs>
        </div>
      </div>
    </main>
  );
}

function failurePath(log: LogSnapshot): string[] {
  const last = log.frames.at(-1);
  return last && eventName(last.event) === "failed" ? pathOf(log, last) : [];
}

function NoRun({ error, retry }: { error: unknown; retry: () => void }) {
  if (Problem.of(error).status === 404) {
    return (
      <Empty title="There is no such run">
        <p className="mb-4">It may have been deleted, or the address is not complete.</p>
        <Link to="/" className={buttonClass()}>
          All runs
        </Link>
      </Empty>
    );
  }
  return <ProblemNotice error={error} retry={retry} />;
}
