import { infiniteQueryOptions, keepPreviousData } from "@tanstack/react-query";
import { pathOf, request } from "@/shared/api/client";
import { keys } from "@/shared/api/queries";
import type { Page, RunSummary } from "@/shared/api/types";
import type { RunFilters } from "../search";

export const PAGE_SIZE = 50;

/** The runs that fit `filters`, newest first, a keyset page at a time. */
export const runsQuery = (filters: RunFilters) =>
  infiniteQueryOptions({
    queryKey: [...keys.runs, filters],
    queryFn: ({ pageParam, signal }) =>
      pageParam === null
        ? request<Page<RunSummary>>("/api/runs/", {
            query: { ...filters, page_size: PAGE_SIZE },
            signal,
          })
        : request<Page<RunSummary>>(pathOf(pageParam), { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  });
