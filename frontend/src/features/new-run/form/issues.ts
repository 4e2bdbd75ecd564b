import type { Issue } from "@/shared/api/types";

/** The issues of the value at `pointer` or inside it, as one text; empty for none. */
export function issueAt(issues: readonly Issue[], pointer: string): string {
  return issues
    .filter(({ at }) => at === pointer || at.startsWith(`${pointer}/`))
    .map(({ detail }) => detail)
    .join(" ");
}

/** The issues that no field of `pointers` shows. */
export function issuesElsewhere(issues: readonly Issue[], pointers: readonly string[]): Issue[] {
  return issues.filter((issue) => pointers.every((pointer) => issueAt([issue], pointer) === ""));
}
