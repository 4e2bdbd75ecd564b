import { CircleX } from "lucide-react";
import type { RunError } from "@/shared/api/types";

/** Why the run failed. */
export function ErrorBox({ error }: { error: RunError }) {
  return (
    <section
      aria-label="Error"
      className="flex gap-3 rounded-xl border border-bad/35 bg-bad/8 px-4 py-3"
    >
      <CircleX aria-hidden className="mt-0.5 size-4 shrink-0 text-bad" />
      <div className="min-w-0 flex-1">
        <p className="break-words">
          <span className="font-mono font-medium text-bad">{error.type}</span>
          {error.node && (
            <span className="text-dim">
              {" "}
              in node <span className="font-mono text-ink">{error.node}</span>
            </span>
          )}
        </p>
        <p className="break-words whitespace-pre-wrap">{error.message}</p>
        {error.traceback && (
          <details className="mt-1">
            <summary className="w-fit rounded text-xs text-dim hover:text-ink">Traceback</summary>
            <pre className="mt-2 max-h-56 overflow-auto rounded-lg border border-line bg-canvas p-3 font-mono text-xs text-dim">
              {error.traceback}
            </pre>
          </details>
        )}
      </div>
    </section>
  );
}
