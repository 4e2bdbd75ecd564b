import { Link, useNavigate } from "@tanstack/react-router";
import { History, RotateCcw } from "lucide-react";
import type { ReactNode } from "react";
import type { Run } from "@/shared/api/types";
import { useTitle } from "@/shared/hooks/use-title";
import { Button, buttonClass } from "@/shared/ui/button";
import { ConnectionPill } from "@/shared/ui/connection-pill";
import { CopyId } from "@/shared/ui/copy-id";
import { ProblemNotice } from "@/shared/ui/notice";
import { StatusBadge, statusStyle } from "@/shared/ui/status-badge";
import { Ago, Elapsed } from "@/shared/ui/time";
import { isTerminalStatus } from "@/stream/event-kinds";
import type { StreamEnd, StreamState } from "@/stream/state";
import { useReplay } from "../api/use-replay";
import { ErrorBox } from "./error-box";

interface RunHeaderProps {
  run: Run;
  connection: StreamState;
  end: StreamEnd | null;
  seq: number;
  /** The nodes around the failure, the outermost first; none when it is not known. */
  failedIn: string[];
}

/** What the run is and how it is doing, and what can be done with it. */
export function RunHeader({ run, connection, end, seq, failedIn }: RunHeaderProps) {
  const replay = useReplay(run.id);
  const navigate = useNavigate();
  useTitle(`${statusStyle(run.status, run.pause !== null).word}: ${run.name || run.workflow}`);
  const again = () =>
    replay.mutate(undefined, {
      onSuccess: ({ id }) => navigate({ to: "/runs/$runId", params: { runId: id } }),
    });
  return (
    <header className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <h1
          dir="auto"
          className="max-w-full truncate text-left text-xl font-semibold tracking-tight"
          title={run.name}
        >
          {run.name || run.workflow}
        </h1>
        <span role="status" data-testid="run-status" data-status={run.status}>
          <StatusBadge status={run.status} paused={run.pause !== null} />
        </span>
        <Modifier run={run} />
        <ConnectionPill state={connection} end={end} seq={seq} />
        <div className="flex gap-2 sm:ml-auto">
          <Button
            disabled={replay.isPending}
            onClick={again}
            title="A new run of the same workflow with the same payload, at once"
          >
            <History aria-hidden className="size-4" />
            Replay
          </Button>
          <Link
            to="/new"
            search={{ from: run.id }}
            className={buttonClass()}
            title="Look at the payload, change it, and start a new run"
          >
            <RotateCcw aria-hidden className="size-4" />
            Run again…
          </Link>
        </div>
      </div>
      <Facts run={run} />
      {replay.error && <ProblemNotice error={replay.error} />}
      {run.error && <ErrorBox error={run.error} path={failedIn} />}
    </header>
  );
}

/** What the badge does not say: that the run is to be cancelled, or who paused it and why. */
function Modifier({ run }: { run: Run }) {
  const modifier = isTerminalStatus(run.status)
    ? null
    : run.cancel
      ? { word: "Being cancelled", ...run.cancel }
      : run.pause && { word: run.status === "pending" ? "" : "Paused", ...run.pause };
  if (!modifier) {
    return null;
  }
  const { word, by, reason } = modifier;
  if (!word && !by && !reason) {
    return null;
  }
  return (
    <span
      role="status"
      data-testid="run-modifier"
      className="max-w-full truncate text-xs font-medium text-warn"
    >
      {word}
      {by && <bdi> by {by}</bdi>}
      {reason && <bdi>: {reason}</bdi>}
    </span>
  );
}

function Facts({ run }: { run: Run }) {
  return (
    <dl className="flex flex-wrap gap-x-6 gap-y-1.5 text-xs">
      <Fact name="Workflow">
        <Link
          to="/"
          search={{ workflow: run.workflow }}
          className="min-w-0 truncate rounded font-mono text-dim underline-offset-2 hover:text-ink hover:underline"
        >
          {run.workflow}
        </Link>
        <span className="shrink-0 text-faint"> v{run.workflow_version}</span>
      </Fact>
      <Fact name={run.started_at ? "Started" : "Created"}>
        <Ago iso={run.started_at ?? run.created_at} />
      </Fact>
      <Fact name="Duration">
        <Elapsed run={run} />
      </Fact>
      <Fact name="Step">
        <span className="tabular-nums">{run.step}</span>
      </Fact>
      {run.attempt > 1 && (
        <Fact name="Attempt">
          <span className="tabular-nums">{run.attempt}</span>
        </Fact>
      )}
      {run.source_run && (
        <Fact name="Replay of">
          <Link
            to="/runs/$runId"
            params={{ runId: run.source_run }}
            className="rounded font-mono text-accent hover:underline"
          >
            …{run.source_run.slice(-12)}
          </Link>
        </Fact>
      )}
      {run.tags.length > 0 && <Fact name="Tags">{run.tags.map((tag) => `#${tag}`).join(" ")}</Fact>}
      <Fact name="Run">
        <CopyId id={run.id} label="run id" />
      </Fact>
      <Fact name="Thread">
        <CopyId id={run.thread} label="thread id" />
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex max-w-full min-w-0 items-baseline gap-1.5">
      <dt className="shrink-0 text-faint">{name}</dt>
      <dd className="flex min-w-0 items-baseline gap-1 text-dim">{children}</dd>
    </div>
  );
}
