import { expect, test } from "vitest";
import { bytes } from "./bytes";
import { duration, elapsed } from "./duration";
import { ago } from "./timestamp";

test.each([
  [-1, "0 ms"],
  [0.84, "840 ms"],
  [0.9996, "1.0 s"],
  [12.44, "12.4 s"],
  [59.96, "1 m 00 s"],
  [185, "3 m 05 s"],
  [3599.6, "1 h 00 m"],
  [8040, "2 h 14 m"],
  [273_600, "3 d 4 h"],
])("%d seconds are %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test.each([
  [0, "0 B"],
  [812, "812 B"],
  [999.6, "1 kB"],
  [1432, "1.4 kB"],
  [20_000_000, "20 MB"],
  [123_456_789, "123 MB"],
])("%d bytes are %s", (size, text) => {
  expect(bytes(size)).toBe(text);
});

test("a run's time stops when it finishes, and is never negative", () => {
  const started_at = "2026-01-01T00:00:00Z";
  const start = Date.parse(started_at);
  expect(elapsed({ started_at: null, finished_at: null }, start)).toBeNull();
  expect(elapsed({ started_at, finished_at: null }, start + 1500)).toBe(1.5);
  expect(elapsed({ started_at, finished_at: null }, start - 1500)).toBe(0);
  expect(elapsed({ started_at, finished_at: "2026-01-01T00:00:02Z" }, start + 90_000)).toBe(2);
});

test("times are told from now", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  expect(ago("2026-01-01T23:59:57Z", now)).toBe("just now");
  expect(ago("2026-01-01T23:59:20Z", now)).toBe("40 sec. ago");
  expect(ago("2026-01-01T23:00:00Z", now)).toBe("1 hr. ago");
  expect(ago("2026-01-01T00:00:00Z", now)).toBe("yesterday");
});
