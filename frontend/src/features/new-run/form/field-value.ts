import { parseJson, toJson } from "@/stream/json";
import type { Field, FieldKind } from "./fields";

/** The kinds of values that are typed as text which not every text is one of. */
export type FieldValueKind = Extract<
  FieldKind,
  "number" | "integer" | "strings" | "numbers" | "integers" | "json"
>;

/** The text in a field. With an `issue`, which says why, the text is no value. */
export interface FieldValue {
  kind: FieldValueKind;
  text: string;
  issue: string;
}

type Read = { value: unknown } | { issue: string };

/** The value that `text` is; no value (`undefined`) where nothing was typed. */
export function readFieldValue(kind: FieldValueKind, text: string, { required }: Field): Read {
  const trimmed = text.trim();
  switch (kind) {
    case "strings":
    case "numbers":
    case "integers":
      return trimmed === "" ? { value: required ? [] : undefined } : readLines(kind, text);
    case "json":
      return trimmed === "" ? { value: undefined } : readJson(trimmed);
    default:
      return trimmed === "" ? { value: undefined } : readNumber(kind, trimmed, "This");
  }
}

/** Each line is an item; lines with nothing on them are none. */
function readLines(kind: "strings" | "numbers" | "integers", text: string): Read {
  const items: unknown[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "") {
      continue;
    }
    if (kind === "strings") {
      items.push(line);
      continue;
    }
    const itemKind = kind === "numbers" ? "number" : "integer";
    const read = readNumber(itemKind, line.trim(), `Line ${at + 1}`);
    if ("issue" in read) {
      return read;
    }
    items.push(read.value);
  }
  return { value: items };
}

function readNumber(kind: "number" | "integer", text: string, what: string): Read {
  const read = readJson(text);
  const value = "value" in read ? read.value : undefined;
  if (!isNumber(value)) {
    return { issue: `${what} is not a number.` };
  }
  return kind === "number" || isWhole(value)
    ? { value }
    : { issue: `${what} is not a whole number.` };
}

function readJson(text: string): Read {
  try {
    return { value: parseJson(text) };
  } catch (error) {
    return { issue: `This is not JSON yet: ${(error as Error).message}.` };
  }
}

/** How `value` is typed into a field of `kind`; as JSON where it is no value of that kind. */
export function fieldValueOf(kind: FieldValueKind, value: unknown): FieldValue {
  if (value === undefined || (value === null && kind !== "json")) {
    return { kind, text: "", issue: "" };
  }
  const text = written(kind, value);
  return text === null
    ? { kind: "json", text: toJson(value, 2), issue: "" }
    : { kind, text, issue: "" };
}

function written(kind: FieldValueKind, value: unknown): string | null {
  switch (kind) {
    case "json":
      return null;
    case "number":
    case "integer":
      return isNumber(value) ? toJson(value) : null;
    case "strings":
      return Array.isArray(value) && value.every(isLine) ? value.join("\n") : null;
    default:
      return Array.isArray(value) && value.every(isNumber)
        ? value.map((item) => toJson(item)).join("\n")
        : null;
  }
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function isWhole(value: number | bigint): boolean {
  return typeof value === "bigint" || Number.isInteger(value);
}

function isLine(item: unknown): boolean {
  return typeof item === "string" && item.trim() !== "" && !item.includes("\n");
}
