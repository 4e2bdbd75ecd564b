import { useMutation, useQueryClient } from "@tanstack/react-query";
import { request } from "@/shared/api/client";
import { keys, runQuery } from "@/shared/api/queries";
import type { Replay, Run } from "@/shared/api/types";

/** Starts a run that does again what `runId` did: from its payload, or from one of its steps. */
export function useReplay(runId: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (from_step?: number) =>
      request<Run>(`/api/runs/${runId}/replay`, {
        method: "POST",
        body: { from_step: from_step ?? null } satisfies Replay,
      }),
    onSuccess: (run) => {
      client.setQueryData(runQuery(run.id).queryKey, run);
      client.invalidateQueries({ queryKey: keys.runs });
    },
  });
}
