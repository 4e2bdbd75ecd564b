import { expect, test } from "vitest";
import { checkpointIn } from "../api/run-queries";
import { preview } from "./event-styles";

const URL = "/api/runs/r/events/7";

test("a preview is one line of the data", () => {
  expect(preview({})).toBe("");
  expect(preview({ data: null })).toBe("");
  expect(preview({ data: { words: 3, list: [1, 2, 3, 4], of: { a: 1 } } })).toBe(
    "words: 3 · list: [4] · of: {1}",
  );
  expect(preview({ data: "x".repeat(1000) })).toHaveLength(160);
});

test("an event whose data were too large to be sent is not blank", () => {
  expect(preview({ data_url: URL })).toBe("Large data: open the event to load them");
});

test("an update that was cut shows its note", () => {
  const data = { $cut: 300_000, head: '{"big"' };
  expect(preview({ data, data_url: URL })).toBe('$cut: 300000 · head: {"big"');
});

test("the state after an event is known by its checkpoint", () => {
  expect(checkpointIn("/api/runs/r/state?checkpoint=c1")).toBe("c1");
  expect(checkpointIn("/api/runs/r/state")).toBeUndefined();
  expect(checkpointIn(undefined)).toBeUndefined();
});
