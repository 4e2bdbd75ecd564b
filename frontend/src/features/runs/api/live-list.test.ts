import { InfiniteQueryObserver, QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Page, RunSummary } from "@/shared/api/types";
import type { RunFilters } from "../search";
import { runsQuery } from "./list-runs";
import { type List, LiveList } from "./live-list";

function run(id: string, change: Partial<RunSummary> = {}): RunSummary {
  return {
    id,
    name: "",
    workflow: "steps",
    status: "running",
    seq: 5,
    updated_at: "t1",
    created_at: `2026-01-01T00:00:${id}Z`,
    ...change,
  } as RunSummary;
}

/** How long the server takes; longer than news are collected for. */
const ANSWER_MS = 500;

const pageOf = (runs: RunSummary[], next: string | null = null): Page<RunSummary> => ({
  next,
  previous: null,
  results: runs,
});

/** A list that is shown, whose server answers with `answers`, one after another, the last for ever. */
async function shown(filters: RunFilters, ...answers: Page<RunSummary>[]) {
  const client = new QueryClient();
  let asked = 0;
  const query = {
    ...runsQuery(filters),
    queryFn: async () => {
      const answer = answers[Math.min(asked++, answers.length - 1)] as Page<RunSummary>;
      await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
      return answer;
    },
  };
  const stop = new InfiniteQueryObserver(client, query).subscribe(() => {});
  await pass(2 * ANSWER_MS);
  let waiting: RunSummary[] = [];
  const list = new LiveList({
    client,
    filters,
    hold: () => holding,
    setWaiting: (change) => {
      waiting = change(waiting);
    },
  });
  ends.push(
    stop,
    () => list.stop(),
    () => client.clear(),
  );
  const rows = () =>
    client
      .getQueryData<List>(query.queryKey)
      ?.pages.flatMap(({ results }) => results.map(({ id, status }) => `${id} ${status}`));
  return { client, list, rows, asked: () => asked, waiting: () => waiting.map(({ id }) => id) };
}

let ends: (() => void)[] = [];
let holding = false;
beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  for (const end of ends) {
    end();
  }
  ends = [];
  holding = false;
  vi.useRealTimers();
});
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test("an older run that begins to wait is put into its place without asking the server", async () => {
  const waits = { status: "interrupted" } as const;
  const { list, rows, asked } = await shown(waits, pageOf([run("09", waits), run("03", waits)]));
  list.add(run("05", waits));
  await pass(5000);
  expect(rows()).toEqual(["09 interrupted", "05 interrupted", "03 interrupted"]);
  expect(asked()).toBe(1);
});

test("an answer that was overtaken by the news of a change does not undo it", async () => {
  const { list, rows } = await shown({}, pageOf([run("03")]));
  list.readAnew();
  list.add(run("03", { seq: 9, status: "completed" }));
  list.add(run("04"));
  await pass(5000);
  expect(rows()).toEqual(["04 running", "03 completed"]);
});

test("a run that was deleted does not come back with an older answer", async () => {
  const { list, rows } = await shown({}, pageOf([run("04"), run("03")]));
  list.remove("03");
  await pass(200);
  list.readAnew();
  await pass(1000);
  expect(rows()).toEqual(["04 running"]);
});

test("when most of the loaded runs have left, those behind them are read", async () => {
  const running = { status: "running" } as const;
  const second = pageOf([run("02", running), run("01", running)]);
  const { list, rows } = await shown(running, pageOf([run("09"), run("08")], "/more"), second);
  list.add(run("09", { seq: 6, status: "completed" }));
  list.add(run("08", { seq: 6, status: "completed" }));
  await pass(200);
  expect(rows()).toEqual([]);
  await pass(2000);
  expect(rows()).toEqual(["02 running", "01 running"]);
});

test("the server is asked once what a search finds, and again only for other runs", async () => {
  const { list, asked } = await shown({ q: "report" }, pageOf([]));
  list.add(run("04", { name: "no such thing" }));
  await pass(20_000);
  expect(asked()).toBe(1);
  list.add(run("05", { name: "Report" }));
  await pass(20_000);
  expect(asked()).toBe(2);
});

test("runs that wait to be shown are counted once, also when the list is read meanwhile", async () => {
  holding = true;
  const { client, list, rows, waiting } = await shown(
    {},
    pageOf([run("03")]),
    pageOf([run("04"), run("03")]),
  );
  list.add(run("04"));
  list.add(run("05"));
  await pass(200);
  expect([waiting(), rows()]).toEqual([["05", "04"], ["03 running"]]);
  client.invalidateQueries(); // as when the window is looked at again
  await pass(1000);
  expect([waiting(), rows()]).toEqual([["05"], ["04 running", "03 running"]]);
});
