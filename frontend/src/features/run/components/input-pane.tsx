import type { Run } from "@/shared/api/types";
import { JsonTree } from "@/shared/ui/json-tree";

/** What the run was started with. */
export function InputPane({ run }: { run: Run }) {
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-5 overflow-auto p-4">
      <section className="flex flex-col gap-2">
        <h3 className="text-xs font-medium text-faint">Payload</h3>
        <JsonTree value={run.payload} label="Payload" />
      </section>
      {Object.keys(run.metadata).length > 0 && (
        <section className="flex flex-col gap-2">
          <h3 className="text-xs font-medium text-faint">Metadata</h3>
          <JsonTree value={run.metadata} label="Metadata" />
        </section>
      )}
    </div>
  );
}
