import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { pathOf, request } from "@/shared/api/client";
import { keys } from "@/shared/api/queries";
import type { Artifact, Checkpoint, Page, RunState, WholeFrame } from "@/shared/api/types";

/** The values of a run at `checkpoint`, or the newest ones. */
export const stateQuery = (runId: string, checkpoint?: string) =>
  queryOptions({
    queryKey: [...keys.run(runId), "state", checkpoint ?? "newest"],
    queryFn: ({ signal }) =>
      request<RunState>(`/api/runs/${runId}/state`, { query: { checkpoint }, signal }),
    placeholderData: keepPreviousData,
  });

/** An event with all of its data, however large. Events never change. */
export const eventQuery = (runId: string, seq: number) =>
  queryOptions({
    queryKey: [...keys.run(runId), "event", seq],
    queryFn: ({ signal }) => request<WholeFrame>(`/api/runs/${runId}/events/${seq}`, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });

/** The checkpoint that the address of a state names. */
export function checkpointIn(stateUrl: string | undefined): string | undefined {
  const query = stateUrl?.split("?")[1];
  return new URLSearchParams(query).get("checkpoint") ?? undefined;
}

function pages<T>(path: string, query: Record<string, string | number>) {
  return {
    queryFn: ({ pageParam, signal }: { pageParam: string | null; signal: AbortSignal }) =>
      pageParam === null
        ? request<Page<T>>(path, { query, signal })
        : request<Page<T>>(pathOf(pageParam), { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page: Page<T>) => page.next,
  };
}

export const checkpointsQuery = (runId: string) =>
  infiniteQueryOptions({
    queryKey: [...keys.run(runId), "checkpoints"],
    ...pages<Checkpoint>(`/api/runs/${runId}/checkpoints`, { page_size: 50 }),
  });

export const artifactsQuery = (runId: string) =>
  infiniteQueryOptions({
    queryKey: [...keys.run(runId), "artifacts"],
    ...pages<Artifact>("/api/artifacts/", { run: runId, page_size: 100 }),
  });
