import { useReducer } from "react";
import { parseJson, toJson } from "@/stream/json";
import { type FieldValue, type FieldValueKind, readFieldValue } from "./field-value";
import type { Field } from "./fields";

/**
 * A payload that is being written, as values and as text at once. The form changes the values, the
 * JSON tab the text; each change carries over to the other. `broken` says why the text is no
 * payload, and a field value with an issue why a field is no value: until it is mended the values are
 * those of before, and `obstacle` says that they are not what was typed.
 */
export interface Draft {
  values: Record<string, unknown>;
  text: string;
  broken: string | null;
  /** What was typed into fields since, by key. */
  fieldValues: Record<string, FieldValue>;
}

export type DraftChange =
  | { kind: "field"; key: string; value: unknown }
  | { kind: "field-value"; field: Field; as: FieldValueKind; text: string }
  | { kind: "text"; text: string };

export function draftOf(
  values: Record<string, unknown>,
  fieldValues: Record<string, FieldValue> = {},
): Draft {
  return { values, text: toJson(values, 2), broken: null, fieldValues };
}

export function changeDraft(draft: Draft, change: DraftChange): Draft {
  switch (change.kind) {
    case "text": {
      const { value, broken } = parseObject(change.text);
      return { values: value ?? draft.values, text: change.text, broken, fieldValues: {} };
    }
    case "field": {
      const { [change.key]: _, ...fieldValues } = draft.fieldValues;
      return draftOf(put(draft.values, change.key, change.value), fieldValues);
    }
    case "field-value": {
      const { field, as, text } = change;
      const read = readFieldValue(as, text, field);
      const issue = "issue" in read ? read.issue : "";
      const fieldValues = { ...draft.fieldValues, [field.key]: { kind: as, text, issue } };
      return draftOf(
        "value" in read ? put(draft.values, field.key, read.value) : draft.values,
        fieldValues,
      );
    }
  }
}

/** `values` with `value` at `key`, in its place; without the key when there is no value. */
function put(values: Record<string, unknown>, key: string, value: unknown) {
  if (value === undefined) {
    const { [key]: _, ...rest } = values;
    return rest;
  }
  return { ...values, [key]: value };
}

/** Whether a run cannot start without another value than `value` in `field`. */
export function isMissing(field: Field, value: unknown): boolean {
  const empty = value === "" || (Array.isArray(value) && value.length === 0);
  return field.required && (value === undefined || (field.filled && empty));
}

/** What keeps `draft` from being sent: the JSON text, or the field of that key. */
export function obstacle(
  draft: Draft,
  fields: readonly Field[],
): { at: "json" } | { at: "field"; key: string } | null {
  if (draft.broken !== null) {
    return { at: "json" };
  }
  const stuck = fields.find(
    (field) => draft.fieldValues[field.key]?.issue || isMissing(field, draft.values[field.key]),
  );
  return stuck ? { at: "field", key: stuck.key } : null;
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
