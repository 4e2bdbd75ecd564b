import { queryOptions } from "@tanstack/react-query";
import { request } from "./client";
import type { Run, Workflow, WorkflowSummary } from "./types";

/** The keys under which REST answers are kept. All that belongs to one run begins with `run(id)`. */
export const keys = {
  runs: ["runs"] as const,
  run: (runId: string) => ["run", runId] as const,
  workflows: ["workflows"] as const,
};

export const runQuery = (runId: string) =>
  queryOptions({
    queryKey: [...keys.run(runId), "detail"],
    queryFn: ({ signal }) => request<Run>(`/api/runs/${runId}`, { signal }),
  });

/** Workflows change only when the server restarts with other code. */
const MINUTES = 5 * 60_000;

export const workflowsQuery = () =>
  queryOptions({
    queryKey: keys.workflows,
    queryFn: async ({ signal }) =>
      (await request<{ results: WorkflowSummary[] }>("/api/workflows/", { signal })).results,
    staleTime: MINUTES,
  });

export const workflowQuery = (name: string) =>
  queryOptions({
    queryKey: [...keys.workflows, name],
    queryFn: ({ signal }) =>
      request<Workflow>(`/api/workflows/${encodeURIComponent(name)}`, { signal }),
    staleTime: MINUTES,
  });
