/** What a new run begins with: a workflow, or all of an earlier run. */
export interface NewRunSearch {
  workflow?: string;
  from?: string;
}

export function newRunSearch(search: Record<string, unknown>): NewRunSearch {
  const result: NewRunSearch = {};
  for (const key of ["workflow", "from"] as const) {
    if (search[key] !== undefined && search[key] !== "") {
      result[key] = String(search[key]);
    }
  }
  return result;
}
