import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { Checkpoint } from "@/shared/api/types";
import { absolute, timeOfDay } from "@/shared/format/timestamp";
import { Button } from "@/shared/ui/button";
import { Empty, ProblemNotice, Skeleton } from "@/shared/ui/notice";
import { checkpointsQuery } from "../api/run-queries";
import { useRefresh } from "../api/use-refresh";
import { useReplay } from "../api/use-replay";
import { nodesAround } from "../model/event-log";

interface CheckpointsPaneProps {
  runId: string;
  count: number;
  onLook: (checkpoint: string) => void;
}

/** Where the run can be looked at and replayed from, newest first. */
export function CheckpointsPane({ runId, count, onLook }: CheckpointsPaneProps) {
  const query = useInfiniteQuery(checkpointsQuery(runId));
  const replay = useReplay(runId);
  const navigate = useNavigate();
  useRefresh(runId, "checkpoints", count);
  const checkpoints = query.data?.pages.flatMap((page) => page.results) ?? [];
  const replayFrom = (step: number) =>
    replay.mutate(step, {
      onSuccess: ({ id }) => navigate({ to: "/runs/$runId", params: { runId: id } }),
    });
  if (query.isPending) {
    return <Skeleton rows={5} className="h-8" />;
  }
  const problem = query.error ?? replay.error;
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      {problem && (
        <div className="p-3">
          <ProblemNotice error={problem} />
        </div>
      )}
      {checkpoints.length === 0 && !query.error && (
        <Empty title="No checkpoints yet">The first comes with the first step.</Empty>
      )}
      <ul>
        {checkpoints.map((checkpoint) => (
          <Row
            key={checkpoint.id}
            checkpoint={checkpoint}
            onLook={() => onLook(checkpoint.id)}
            onReplay={() => replayFrom(checkpoint.step)}
            busy={replay.isPending}
          />
        ))}
      </ul>
      {query.hasNextPage && (
        <button
          type="button"
          className="w-full p-3 text-accent hover:bg-hover"
          onClick={() => query.fetchNextPage()}
        >
          Load more
        </button>
      )}
    </div>
  );
}

interface RowProps {
  checkpoint: Checkpoint;
  onLook: () => void;
  onReplay: () => void;
  busy: boolean;
}

function Row({ checkpoint, onLook, onReplay, busy }: RowProps) {
  const { step, source, next, created_at, id, namespace } = checkpoint;
  const around = nodesAround(namespace).join(" › ");
  const where = around ? `step ${step} in ${around}` : `step ${step}`;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-1 border-b border-line px-4 py-2 last:border-b-0">
      <span className="w-16 shrink-0 font-medium tabular-nums">Step {step}</span>
      <span className="min-w-32 flex-1">
        <span className="block truncate text-dim">
          {next.length > 0 ? (
            <>
              next <span className="font-mono text-xs text-ink">{next.join(", ")}</span>
            </>
          ) : (
            "nothing left to run"
          )}
        </span>
        <span className="block truncate font-mono text-2xs text-faint" title={id}>
          {around && <bdi>in {around} · </bdi>}
          {source} · <time title={absolute(created_at)}>{timeOfDay(created_at)}</time>
        </span>
      </span>
      <span className="ml-auto flex">
        <Button look="quiet" onClick={onLook} aria-label={`State at ${where}`}>
          State
        </Button>
        {!namespace && (
          <Button
            look="quiet"
            onClick={onReplay}
            disabled={busy}
            aria-label={`Replay from ${where}`}
          >
            Replay from here
          </Button>
        )}
      </span>
    </li>
  );
}
