import { parseJson } from "./json";

/** One event of one run, as the server sends it. `seq` counts from 1 and has no holes. */
export interface Frame {
  event: string;
  seq: number;
  run_id: string;
  ts: string;
  node?: string;
  step?: number;
  /** Where a subgraph stands, `node:task_id`; one inside another behind a `|`. */
  namespace?: string;
  /** Which execution of the node, or which call of a task. */
  task_id?: string;
  data?: unknown;
  /** Where the whole event is, when its data are too large to be sent, or were cut to a note. */
  data_url?: string;
}

/** The JSON object in `text`; null when it is something else. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value = parseJson(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** `value` as a frame; null for messages of another kind, which a newer server may send. */
export function asFrame(value: Record<string, unknown>): Frame | null {
  const { event, seq } = value;
  return typeof event === "string" && typeof seq === "number" ? (value as unknown as Frame) : null;
}
