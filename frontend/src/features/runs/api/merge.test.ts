import { expect, test } from "vitest";
import type { Page, RunSummary } from "@/shared/api/types";
import { merge, stack, without } from "./merge";

function run(id: string, change: Partial<RunSummary> = {}): RunSummary {
  return {
    id,
    workflow: "steps",
    status: "running",
    seq: 5,
    created_at: `2026-01-01T00:00:${id}Z`,
    ...change,
  } as RunSummary;
}

const pages = (...runs: RunSummary[]): Page<RunSummary>[] => [
  { next: "more", previous: null, results: runs },
];
const ids = (of: Page<RunSummary>[]) => of.flatMap((page) => page.results.map(({ id }) => id));

test("a known run changes in place, a new one is handed back", () => {
  const { pages: after, fresh } = merge(
    pages(run("03"), run("02")),
    [run("02", { seq: 6, status: "completed" }), run("04")],
    {},
  );
  expect(ids(after)).toEqual(["03", "02"]);
  expect(after[0]?.results[1]?.status).toBe("completed");
  expect(after[0]?.next).toBe("more");
  expect(fresh.map(({ id }) => id)).toEqual(["04"]);
});

test("older news changes nothing", () => {
  const { pages: after } = merge(pages(run("02", { seq: 9 })), [run("02", { seq: 4 })], {});
  expect(after[0]?.results[0]?.seq).toBe(9);
});

test("of two news about one run the newer counts", () => {
  const { fresh } = merge(pages(), [run("04", { seq: 7 }), run("04", { seq: 6 })], {});
  expect(fresh.map(({ seq }) => seq)).toEqual([7]);
});

test("a run that no longer fits the filter leaves, one that never did does not come", () => {
  const { pages: after, fresh } = merge(
    pages(run("02")),
    [run("02", { seq: 6, status: "completed" }), run("04", { status: "failed" })],
    { status: "running" },
  );
  expect(ids(after)).toEqual([]);
  expect(fresh).toEqual([]);
});

test("an old run that was never loaded is not put on top", () => {
  expect(merge(pages(run("03")), [run("01")], {}).fresh).toEqual([]);
});

test("what a search finds only the server knows", () => {
  const { fresh, unsure } = merge(pages(run("03")), [run("04")], { q: "report" });
  expect(fresh).toEqual([]);
  expect(unsure).toBe(true);
});

test("new runs come newest first", () => {
  const { fresh } = merge(pages(), [run("04"), run("06"), run("05")], {});
  expect(fresh.map(({ id }) => id)).toEqual(["06", "05", "04"]);
});

test("runs that wait change, leave and are joined by newer ones, each once", () => {
  const held = [run("05"), run("04")];
  const news = [run("05", { seq: 6, status: "completed" }), run("06"), run("04", { seq: 7 })];
  const { fresh } = merge(pages(run("03")), news, { status: "running" });
  const after = stack(held, news, fresh, { status: "running" });
  expect(after.map(({ id, seq }) => [id, seq])).toEqual([
    ["06", 5],
    ["04", 7],
  ]);
});

test("deleted runs leave, and pages without any stay the same object", () => {
  const before = [...pages(run("04"), run("03")), ...pages(run("02"))];
  const after = without(before, new Set(["03", "99"]));
  expect(ids(after)).toEqual(["04", "02"]);
  expect(after[1]).toBe(before[1]);
});
