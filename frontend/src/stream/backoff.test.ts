import { expect, test } from "vitest";
import { backoff } from "./backoff";

test("doubles from a quarter of a second to eight, half of it chance", () => {
  expect([0, 1, 2, 3].map((attempt) => backoff(attempt, () => 1))).toEqual([250, 500, 1000, 2000]);
  expect(backoff(50, () => 1)).toBe(8000);
  expect(backoff(50, () => 0)).toBe(4000);
});
