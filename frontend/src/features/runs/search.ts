import { RUN_STATUSES, type RunStatus } from "@/stream/event-kinds";

/** The filters of the list, as they stand in the address. */
export interface RunFilters {
  status?: RunStatus;
  workflow?: string;
  q?: string;
}

/** The filters in `search`; what is not one is left out. */
export function runFilters(search: Record<string, unknown>): RunFilters {
  const filters: RunFilters = {};
  if (RUN_STATUSES.some((status) => status === search.status)) {
    filters.status = search.status as RunStatus;
  }
  for (const key of ["workflow", "q"] as const) {
    // The router reads ?q=42 as a number.
    const value = search[key] === undefined ? "" : String(search[key]).trim();
    if (value) {
      filters[key] = value;
    }
  }
  return filters;
}
