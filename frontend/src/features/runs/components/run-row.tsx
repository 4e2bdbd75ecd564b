import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { RunSummary } from "@/shared/api/types";
import { StatusBadge } from "@/shared/ui/status-badge";
import { Ago, Elapsed } from "@/shared/ui/time";

/** The columns of the list; one place, so that head and rows cannot differ. */
export const COLUMNS =
  "md:grid-cols-[7.5rem_minmax(0,3fr)_minmax(0,1fr)_7.5rem_6rem_4rem] md:items-center md:gap-x-5";

/** One run of the list. All of the row is a link; on a narrow screen it is a card: the name and how
 * long, under it the status, the workflow and when. */
export const RunRow = memo(function RunRow({ run }: { run: RunSummary }) {
  return (
    <li className="border-b border-line [contain-intrinsic-size:auto_4.5rem] [content-visibility:auto] last:border-b-0 md:[contain-intrinsic-size:auto_3.5rem]">
      <Link
        to="/runs/$runId"
        params={{ runId: run.id }}
        data-testid="run-row"
        className={`grid h-18 grid-cols-[minmax(0,1fr)_auto] content-center gap-x-4 gap-y-1 px-4 outline-offset-[-2px] transition-colors hover:bg-raised md:h-14 md:gap-y-0 ${COLUMNS}`}
      >
        <span className="min-w-0 md:order-2">
          <bdi className="block truncate text-left font-medium">{run.name || run.workflow}</bdi>
          <Detail run={run} />
        </span>
        <span className="text-right text-dim md:order-5">
          <Elapsed run={run} />
        </span>
        <span className="col-span-2 flex min-w-0 items-center gap-3 text-xs md:contents md:text-sm">
          <span className="md:order-1">
            <StatusBadge status={run.status} paused={run.paused} />
          </span>
          <span className="min-w-0 truncate text-dim md:order-3">{run.workflow}</span>
          <span className="ml-auto shrink-0 text-dim md:order-4 md:ml-0">
            <Ago iso={run.started_at ?? run.created_at} />
          </span>
        </span>
        <span className="hidden text-right text-dim tabular-nums md:order-6 md:block">
          {run.step}
        </span>
      </Link>
    </li>
  );
});

function Detail({ run }: { run: RunSummary }) {
  if (run.status === "failed" && run.error) {
    return (
      <span className="hidden truncate text-xs text-bad/90 md:block">
        {run.error.type}: {run.error.message}
      </span>
    );
  }
  return (
    <span className="hidden truncate text-2xs text-faint md:block">
      <span className="font-mono">…{run.id.slice(-12)}</span>
      {run.tags.map((tag) => (
        <span key={tag} className="ml-2 text-dim">
          #{tag}
        </span>
      ))}
    </span>
  );
}
