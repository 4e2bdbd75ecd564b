import { useMutation, useQueryClient } from "@tanstack/react-query";
import { request } from "@/shared/api/client";
import { keys, runQuery } from "@/shared/api/queries";
import type { NewRun, Run } from "@/shared/api/types";

/** Starts a run; its page has it at once. */
export function useCreateRun() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (run: NewRun) => request<Run>("/api/runs/", { method: "POST", body: run }),
    onSuccess: (run) => {
      client.setQueryData(runQuery(run.id).queryKey, run);
      client.invalidateQueries({ queryKey: keys.runs });
    },
  });
}
