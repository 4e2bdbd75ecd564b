/** What a new run begins with: a workflow, or all of an earlier run. */
export interface LaunchSearch {
  workflow?: string;
  from?: string;
}

export function launchSearch(search: Record<string, unknown>): LaunchSearch {
  const found: LaunchSearch = {};
  for (const key of ["workflow", "from"] as const) {
    if (search[key] !== undefined && search[key] !== "") {
      found[key] = String(search[key]);
    }
  }
  return found;
}
