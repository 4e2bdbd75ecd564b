import { useReducer } from "react";
import { parseJson, toJson } from "@/stream/json";

/**
 * A payload that is being written, as values and as text at once. The form changes the values, the
 * JSON tab the text; each change carries over to the other. `broken` says why the text is no
 * payload: until it is mended the values are those of before.
 */
export interface Draft {
  values: Record<string, unknown>;
  text: string;
  broken: string | null;
}

export type DraftChange =
  | { kind: "field"; key: string; value: unknown }
  | { kind: "text"; text: string };

export function draftOf(values: Record<string, unknown>): Draft {
  return { values, text: toJson(values, 2), broken: null };
}

export function changeDraft(draft: Draft, change: DraftChange): Draft {
  if (change.kind === "text") {
    const { value, broken } = parseObject(change.text);
    return { values: value ?? draft.values, text: change.text, broken };
  }
  const { [change.key]: _, ...rest } = draft.values;
  if (change.value === undefined) {
    return draftOf(rest);
  }
  return draftOf(
    change.key in draft.values
      ? { ...draft.values, [change.key]: change.value }
      : { ...rest, [change.key]: change.value },
  );
}

function parseObject(text: string): {
  value: Record<string, unknown> | null;
  broken: string | null;
} {
  try {
    const value = parseJson(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { value: value as Record<string, unknown>, broken: null };
    }
    return { value: null, broken: "A payload is a JSON object: { … }." };
  } catch (error) {
    return { value: null, broken: `This is not JSON yet: ${(error as Error).message}.` };
  }
}

export function useDraft(initial: () => Record<string, unknown>) {
  return useReducer(changeDraft, undefined, () => draftOf(initial()));
}
