import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { Problem } from "../api/problem";

/** What stands where nothing is: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex h-full flex-col items-center justify-center gap-2 px-6 py-10 text-center">
      <p className="font-medium text-ink">{title}</p>
      {children && <div className="max-w-sm text-dim">{children}</div>}
    </div>
  );
}

interface ProblemNoticeProps {
  error: unknown;
  /** What did not happen, where the server's title does not say it. */
  title?: string;
  retry?: () => void;
}

/** A request that failed, in the server's own words, with a way to try again. */
export function ProblemNotice({ error, title, retry }: ProblemNoticeProps) {
  const problem = Problem.of(error);
  return (
    <div
      role="alert"
      className="flex items-start gap-3 rounded-lg border border-bad/35 bg-bad/8 px-4 py-3"
    >
      <CircleAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-bad" />
      <div className="min-w-0 flex-1">
        <p className="font-medium">{problem.status > 0 && title ? title : problem.title}</p>
        <p className="break-words text-dim">{problem.message}</p>
      </div>
      {retry && (
        <button
          type="button"
          onClick={retry}
          className="shrink-0 rounded-md px-2 py-1 font-medium text-accent hover:bg-hover"
        >
          Try again
        </button>
      )}
    </div>
  );
}

/** Grey bars of the size of what comes. */
export function Skeleton({ rows, className = "h-4" }: { rows: number; className?: string }) {
  return (
    <div role="status" aria-label="Loading" className="flex flex-col gap-3 p-4">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the bars have no identity
        <div key={row} className={`animate-breathe rounded-md bg-raised ${className}`} />
      ))}
    </div>
  );
}
