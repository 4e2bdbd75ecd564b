import { CircleX } from "lucide-react";
import type { RunError } from "@/shared/api/types";
import { nodesAround } from "../model/event-log";

/** Why the run failed, and in which node; `path` has it and those around it, when its event is known. */
export function ErrorBox({ error, path }: { error: RunError; path: string[] }) {
  const own = error.node === null ? [] : [...nodesAround(error.namespace), error.node];
  const where = (path.length > 0 ? path : own).join(" › ");
  return (
    <section
      aria-label="Error"
      className="flex gap-3 rounded-xl border border-bad/35 bg-bad/8 px-4 py-3"
    >
      <CircleX aria-hidden className="mt-0.5 size-4 shrink-0 text-bad" />
      <div className="min-w-0 flex-1">
        <p className="break-words">
          <span className="font-mono font-medium text-bad">{error.type}</span>
          {where && (
            <span className="text-dim">
              {" "}
              in node <bdi className="font-mono text-ink">{where}</bdi>
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
