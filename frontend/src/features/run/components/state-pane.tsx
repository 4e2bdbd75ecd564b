import { useQuery } from "@tanstack/react-query";
import { JsonTree } from "@/shared/ui/json-tree";
import { Empty, ProblemNotice, Skeleton } from "@/shared/ui/notice";
import { stateQuery } from "../api/run-queries";
import { useRefresh } from "../api/use-refresh";

interface StatePaneProps {
  runId: string;
  /** Which state; the newest when there is none. */
  checkpoint: string | undefined;
  /** How many checkpoints are known: each new one changes the newest state. */
  count: number;
  onNewest: () => void;
}

/** The values of the run's channels. */
export function StatePane({ runId, checkpoint, count, onNewest }: StatePaneProps) {
  const { data, error, refetch, isPending } = useQuery(stateQuery(runId, checkpoint));
  useRefresh(runId, "state", checkpoint ? 0 : count);
  if (isPending) {
    return <Skeleton rows={5} />;
  }
  if (error && !data) {
    return (
      <div className="p-4">
        <ProblemNotice error={error} retry={() => refetch()} />
      </div>
    );
  }
  if (!data) {
    return null;
  }
  return (
    <>
      <div className="flex min-h-11 flex-wrap items-center gap-x-4 gap-y-1 border-b border-line px-4 py-2 text-xs text-dim">
        <span>
          {checkpoint ? "As it was after step " : "After step "}
          <span className="text-ink tabular-nums">{data.step}</span>
        </span>
        {data.next.length > 0 && (
          <span className="min-w-0 truncate">
            next <span className="font-mono text-ink">{data.next.join(", ")}</span>
          </span>
        )}
        {checkpoint && (
          <button
            type="button"
            onClick={onNewest}
            className="ml-auto rounded font-medium text-accent hover:underline"
          >
            Show the newest
          </button>
        )}
      </div>
      <div className="min-h-0 flex-1 overflow-auto p-4">
        {Object.keys(data.values).length === 0 ? (
          <Empty title="No values yet">They appear with the first checkpoint.</Empty>
        ) : (
          <JsonTree key={checkpoint ?? "newest"} value={data.values} label="State" />
        )}
      </div>
    </>
  );
}
