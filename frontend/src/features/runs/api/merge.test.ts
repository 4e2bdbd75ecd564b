import { expect, test } from "vitest";
import type { Page, RunSummary } from "@/shared/api/types";
import { merge, stack, without } from "./merge";

function run(id: string, change: Partial<RunSummary> = {}): RunSummary {
  return {
    id,
    name: "",
    workflow: "steps",
    updated_at: "t1",
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

test("an older run that comes to fit takes its place among the loaded ones", () => {
  const waits = { status: "interrupted" } as const;
  const before = pages(run("07", waits), run("03", waits));
  const after = merge(before, [run("05", waits), run("04")], waits);
  expect(ids(after.pages)).toEqual(["07", "05", "03"]);
  expect(after.fresh).toEqual([]);
  expect(after.unsure).toBe(false);
});

test("one that belongs to a page that is not loaded yet is not shown, and on the last page it is", () => {
  const { pages: after, fresh } = merge(pages(run("03")), [run("01")], {});
  expect([ids(after), fresh]).toEqual([["03"], []]);
  const last = [{ next: null, previous: null, results: [run("03")] }];
  expect(ids(merge(last, [run("01")], {}).pages)).toEqual(["03", "01"]);
});

test("it goes to the page that it belongs to, and the others stay the same object", () => {
  const before = [...pages(run("09"), run("07")), ...pages(run("05"), run("03"))];
  const { pages: after } = merge(before, [run("06")], {});
  expect(after.map((page) => page.results.map(({ id }) => id))).toEqual([
    ["09", "07"],
    ["06", "05", "03"],
  ]);
  expect(after[0]).toBe(before[0]);
});

test("runs of one moment are in the order of their ids, as on the server", () => {
  const same = { created_at: "2026-01-01T00:00:00Z" };
  const before = pages(run("b", same), run("a", same), run("0", same));
  expect(ids(merge(before, [run("aa", same)], {}).pages)).toEqual(["b", "aa", "a", "0"]);
});

test("a change without an event counts, by its time", () => {
  const before = pages(run("02", { status: "interrupted", updated_at: "t1" }));
  const news = run("02", { status: "pending", updated_at: "t2" });
  expect(merge(before, [news], {}).pages[0]?.results[0]?.status).toBe("pending");
  expect(ids(merge(before, [news], { status: "interrupted" }).pages)).toEqual([]);
  expect(merge(pages(news), [run("02", { updated_at: "t1" })], {}).pages[0]?.results[0]).toBe(news);
});

test("what a search finds only the server knows, and is asked when it may find something", () => {
  const named = (name: string) => run("0000-4abc", { name });
  const asks = (name: string, q: string) => merge(pages(run("03")), [named(name)], { q }).unsure;
  expect(merge(pages(run("03")), [named("Report")], { q: "report" }).fresh).toEqual([]);
  expect(asks("Report", "report")).toBe(true);
  expect(asks("STRASSE", "straße")).toBe(true);
  expect(asks("Übung", "ÜB")).toBe(true);
  expect(asks("x", "step")).toBe(true);
  expect(asks("x", "4abc")).toBe(true);
  expect(asks("x", "report")).toBe(false);
});

test("new runs come newest first", () => {
  const { fresh } = merge(pages(), [run("04"), run("06"), run("05")], {});
  expect(fresh.map(({ id }) => id)).toEqual(["06", "05", "04"]);
});

test("runs that wait change, leave and are joined by newer ones, each once", () => {
  const waiting = [run("05"), run("04")];
  const news = [run("05", { seq: 6, status: "completed" }), run("06"), run("04", { seq: 7 })];
  const { fresh } = merge(pages(run("03")), news, { status: "running" });
  const after = stack(waiting, news, fresh, { status: "running" });
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
