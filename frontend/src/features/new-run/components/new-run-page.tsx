import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { runQuery, workflowsQuery } from "@/shared/api/queries";
import { useTitle } from "@/shared/hooks/use-title";
import { Empty, ProblemNotice, Skeleton } from "@/shared/ui/notice";
import { RunForm } from "./run-form";
import { WorkflowPicker } from "./workflow-picker";

const route = getRouteApi("/new");
const USUAL = "text_report";

/** Start a run: choose a workflow, write its payload. */
export function NewRunPage() {
  useTitle("New run");
  const { workflow, from } = route.useSearch();
  const navigate = route.useNavigate();
  const workflows = useQuery(workflowsQuery());
  const like = useQuery({ ...runQuery(from ?? ""), enabled: from !== undefined });
  const workflowName = workflow ?? like.data?.workflow ?? USUAL;
  const chosen = workflows.data?.find(({ name }) => name === workflowName) ?? workflows.data?.[0];
  const waiting = workflows.isPending || (from !== undefined && like.isPending);
  const error = workflows.error ?? like.error;
  return (
    <main className="mx-auto flex w-full max-w-[100rem] flex-col gap-6 px-4 py-6 sm:px-6">
      <h1 className="text-xl font-semibold tracking-tight">New run</h1>
      {error && (
        <ProblemNotice
          error={error}
          retry={() => {
            workflows.refetch();
            if (from) {
              like.refetch();
            }
          }}
        />
      )}
      {waiting && !error && <Skeleton rows={6} className="h-12" />}
      {workflows.data?.length === 0 && (
        <Empty title="No workflows">
          A <code>workflows</code> module of an installed app registers them.
        </Empty>
      )}
      {!waiting && workflows.data && chosen && (
        <div className="grid grid-cols-[minmax(0,1fr)] gap-6 lg:grid-cols-[20rem_minmax(0,48rem)]">
          <WorkflowPicker
            workflows={workflows.data}
            selected={chosen.name}
            onSelect={(name) => navigate({ search: { from, workflow: name }, replace: true })}
          />
          <RunForm
            key={`${chosen.name} ${from}`}
            workflow={chosen}
            like={like.data?.workflow === chosen.name ? like.data : undefined}
          />
        </div>
      )}
    </main>
  );
}
