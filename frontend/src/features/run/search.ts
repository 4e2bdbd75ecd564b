export const RUN_TABS = ["events", "state", "checkpoints", "input"] as const;
export type RunTab = (typeof RUN_TABS)[number];

/** What of a run is looked at, as it stands in the address. */
export interface RunSearch {
  tab?: RunTab;
  /** Only events of these names. */
  events?: string[];
  /** Only events of this node. */
  node?: string;
  /** The state as it was at this checkpoint. */
  checkpoint?: string;
}

export function runSearch(search: Record<string, unknown>): RunSearch {
  const result: RunSearch = {};
  if (RUN_TABS.some((tab) => tab === search.tab)) {
    result.tab = search.tab as RunTab;
  }
  if (Array.isArray(search.events) && search.events.length > 0) {
    result.events = search.events.map(String);
  }
  for (const key of ["node", "checkpoint"] as const) {
    if (search[key] !== undefined && search[key] !== "") {
      result[key] = String(search[key]);
    }
  }
  return result;
}
