import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { EVENT_KINDS, isAboutRun, kindOf, statusAfter } from "@/stream/event-kinds";
import { isTerminal } from "@/stream/frame";
import { isOver, RUN_STATUSES, type RunStatus } from "./types";

test("the table is the server's, and its statuses are those that runs have", async () => {
  const openapi = JSON.parse(
    await readFile(new URL("../../../openapi.json", import.meta.url), "utf8"),
  );
  const { EventName, RunStatus } = openapi.components.schemas;
  expect(Object.keys(EVENT_KINDS)).toEqual(EventName.enum);
  expect(EVENT_KINDS).toEqual(EventName["x-event-kinds"]);
  const implied = Object.values(EVENT_KINDS).flatMap(({ status }) => status ?? []);
  expect(new Set(implied)).toEqual(new Set(RunStatus.enum));
  expect(new Set(implied)).toEqual(new Set(RUN_STATUSES));
});

test("the events that end a run are those whose status is over", () => {
  for (const [name, { terminal, status }] of Object.entries(EVENT_KINDS)) {
    expect(isTerminal(name)).toBe(terminal);
    expect(status !== null && isOver(status as RunStatus)).toBe(terminal);
  }
});

test("every event that changes the status says so", () => {
  const after = (events: string[]) =>
    events.reduce<string | null>((status, event) => statusAfter(event, status), null);
  const running = ["created", "started"];
  expect(after(["created"])).toBe("pending");
  expect(after(running)).toBe("running");
  expect(after([...running, "interrupted"])).toBe("interrupted");
  expect(after([...running, "interrupted", "resumed"])).toBe("running");
  expect(after([...running, "sleeping"])).toBe("sleeping");
  expect(after([...running, "paused"])).toBe("pending");
  expect(after([...running, "paused", "unpaused"])).toBe("pending");
  expect(after([...running, "paused", "unpaused", "resumed"])).toBe("running");
  expect(after([...running, "recovered"])).toBe("running");
  expect(after([...running, "node_started", "custom:x", "checkpoint"])).toBe("running");
  for (const end of ["completed", "failed", "cancelled"]) {
    expect(after([...running, end])).toBe(end);
  }
});

test("a run that waits goes on waiting while it is paused", () => {
  for (const status of ["interrupted", "sleeping"]) {
    expect(statusAfter("paused", status)).toBe(status);
    expect(statusAfter("unpaused", status)).toBe(status);
  }
});

test("an event of a newer server changes nothing here, and the run is read again", () => {
  expect(kindOf("adjourned")).toBeUndefined();
  expect(kindOf("toString")).toBeUndefined();
  expect(statusAfter("adjourned", "running")).toBe("running");
  expect(isAboutRun("adjourned")).toBe(true);
  expect(isAboutRun("custom:adjourned")).toBe(false);
  expect(isAboutRun("node_update")).toBe(false);
});
