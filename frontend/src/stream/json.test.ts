import { expect, test } from "vitest";
import { parseJson, toJson } from "./json";

const exact = (JSON as { rawJSON?: unknown }).rawJSON !== undefined;

test.runIf(exact)("whole numbers stay what they are", () => {
  const text =
    '{"t_ns":1795416139355300913,"neg":-9007199254740993,"list":[1,12345678901234567890]}';
  expect(parseJson(text)).toEqual({
    t_ns: 1795416139355300913n,
    neg: -9007199254740993n,
    list: [1, 12345678901234567890n],
  });
  expect(toJson(parseJson(text))).toBe(text);
});

test("other numbers, and digits in texts, are left alone", () => {
  const value = { half: 0.5, big: 1e300, text: "1795416139355300913", n: 42 };
  expect(parseJson(JSON.stringify(value))).toEqual(value);
  expect(toJson(value, 2)).toBe(JSON.stringify(value, null, 2));
});
