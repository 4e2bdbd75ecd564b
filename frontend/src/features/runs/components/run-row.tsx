import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { RunSummary } from "@/shared/api/types";
import { StatusBadge } from "@/shared/ui/status-badge";
import { Ago, Elapsed } from "@/shared/ui/time";

/** The columns of the list; one place, so that head and rows cannot differ. */
export const COLUMNS =
  "md:grid md:grid-cols-[8.5rem_minmax(0,1fr)_minmax(0,12rem)_4.5rem_7.5rem_6.5rem] md:items-center md:gap-4";

/** One run of the list. The whole row is a link; on a narrow screen it becomes a card. */
export const RunRow = memo(function RunRow({ run }: { run: RunSummary }) {
  return (
    <li className="border-b border-line [contain-intrinsic-size:auto_3.5rem] [content-visibility:auto] last:border-b-0">
      <Link
        to="/runs/$runId"
        params={{ runId: run.id }}
        data-testid="run-row"
        className={`flex h-20 flex-wrap content-center items-center gap-x-4 gap-y-1 px-4 outline-offset-[-2px] transition-colors hover:bg-raised md:h-14 ${COLUMNS}`}
      >
        <span className="order-2 w-28 text-xs md:order-none md:w-auto md:text-sm">
          <StatusBadge status={run.status} />
        </span>
        <span className="order-1 flex w-full min-w-0 items-baseline gap-2 md:order-none md:block">
          <span className="block truncate font-medium">{run.name || run.workflow}</span>
          <RunDetail run={run} />
        </span>
        <span className="hidden truncate text-dim md:block">{run.workflow}</span>
        <span className="hidden text-right font-mono text-xs text-dim tabular-nums md:block">
          {run.step}
        </span>
        <span className="order-3 text-xs text-dim md:order-none md:text-sm">
          <Ago iso={run.started_at ?? run.created_at} />
        </span>
        <span className="order-4 ml-auto text-right text-xs text-dim md:order-none md:ml-0 md:text-sm">
          <Elapsed run={run} />
        </span>
      </Link>
    </li>
  );
});

function RunDetail({ run }: { run: RunSummary }) {
  if (run.status === "failed" && run.error) {
    return (
      <span className="hidden truncate text-xs text-bad/90 md:block">
        {run.error.type}: {run.error.message}
      </span>
    );
  }
  return (
    <span className="block truncate font-mono text-2xs text-faint">
      <span className="md:hidden">{run.workflow} · </span>
      {run.id.slice(-12)}
      {run.tags.map((tag) => (
        <span key={tag} className="ml-2 font-sans text-dim">
          #{tag}
        </span>
      ))}
    </span>
  );
}
