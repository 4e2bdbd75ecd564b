/**
 * JSON that keeps whole numbers as they are written. A JavaScript number holds 53 bits of them;
 * ids and nanoseconds have more, and would be shown, and sent back, as other numbers. Those become
 * `bigint`. Where a browser cannot tell how a number was written, the nearest number it has.
 */

type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown;

const LONG_NUMBER = /\d{16}/;
const WHOLE = /^-?\d+$/;

export function parseJson(text: string): unknown {
  // Looking at each value costs; most texts have no long number.
  return LONG_NUMBER.test(text) ? JSON.parse(text, keepLong as Reviver) : JSON.parse(text);
}

function keepLong(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" &&
    !Number.isSafeInteger(value) &&
    source !== undefined &&
    WHOLE.test(source)
    ? BigInt(source)
    : value;
}

const { rawJSON } = JSON as unknown as { rawJSON?: (text: string) => unknown };

/** `value` as JSON text; what `parseJson` reads comes out again. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_key, part: unknown) =>
      typeof part === "bigint" ? (rawJSON?.(String(part)) ?? Number(part)) : part,
    indent,
  );
}
