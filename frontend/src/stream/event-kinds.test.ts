import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import {
  EVENT_KINDS,
  eventName,
  isAboutRun,
  isTerminal,
  isTerminalStatus,
  kindOf,
  RUN_STATUSES,
  type RunStatus,
  statusAfter,
} from "./event-kinds";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

test("event-table.ts is what openapi.json generates: else `npm run schema`", async () => {
  const generator = path("../../generate-events.mjs");
  const { stdout } = await promisify(execFile)(process.execPath, [generator]);
  expect(await readFile(path("./event-table.ts"), "utf8")).toBe(stdout);
});

test("the statuses that events imply are those that runs have", () => {
  const implied = Object.values(EVENT_KINDS).flatMap(({ status }) => status ?? []);
  expect(new Set(implied)).toEqual(new Set(RUN_STATUSES));
});

test("a status is terminal when the event that implies it is", () => {
  for (const [name, { terminal, status }] of Object.entries(EVENT_KINDS)) {
    expect(isTerminal(name)).toBe(terminal);
    expect(status !== null && isTerminalStatus(status)).toBe(terminal);
  }
});

test("an event that a node named is of the row custom, messages of their own", () => {
  expect(eventName("custom:mine")).toBe("custom");
  expect(eventName("custom:messages")).toBe("custom:messages");
  expect(eventName("customs")).toBeUndefined();
});

test("every event that changes the status says so", () => {
  const after = (events: string[]) =>
    events.reduce<RunStatus | null>((status, event) => statusAfter(event, status), null);
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
  for (const status of ["interrupted", "sleeping"] as const) {
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
