import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeServer } from "./fake-server";
import { FeedStream } from "./feed-stream";
import type { StreamState } from "./state";

function follow(server: FakeServer) {
  const runs: unknown[] = [];
  const deleted: string[] = [];
  const states: StreamState[] = [];
  const counts = { ready: 0 };
  const feed = new FeedStream<unknown>({
    url: () => "ws://server/api/ws/",
    probe: server.head,
    onReady: () => counts.ready++,
    onRun: (run) => runs.push(run),
    onDeleted: (runId) => deleted.push(runId),
    onState: (state) => states.push(state),
    environment: server,
  });
  feed.start();
  return { feed, runs, deleted, states, counts };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("is live from the ready frame on, and passes runs", async () => {
  const server = new FakeServer();
  const { runs, deleted, states } = follow(server);
  await vi.advanceTimersByTimeAsync(0);
  expect(states).toEqual(["connecting", "catching-up"]);
  server.socket.send({ event: "ready", protocol: 1 });
  server.socket.send({ event: "run", data: { id: "a" } });
  expect(states.at(-1)).toBe("live");
  server.socket.send({ event: "deleted", run_id: "a" });
  expect(runs).toEqual([{ id: "a" }]);
  expect(deleted).toEqual(["a"]);
});

test("asks its owner to read anew after each restart of the server", async () => {
  const server = new FakeServer();
  const { states, counts, feed } = follow(server);
  await vi.advanceTimersByTimeAsync(0);
  server.socket.send({ event: "ready", protocol: 1 });
  server.stop();
  expect(states.at(-1)).toBe("offline");
  server.up = true;
  await vi.advanceTimersByTimeAsync(1_000);
  server.socket.send({ event: "ready", protocol: 1 });
  expect(states.at(-1)).toBe("live");
  expect(counts.ready).toBe(2);
  feed.stop();
});

test("a silent feed is checked, and given up when the server does not answer", async () => {
  const server = new FakeServer();
  const { states, feed } = follow(server);
  await vi.advanceTimersByTimeAsync(0);
  server.socket.send({ event: "ready", protocol: 1 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(states.at(-1)).toBe("live");
  server.up = false;
  await vi.advanceTimersByTimeAsync(31_000);
  expect(states.at(-1)).toBe("offline");
  feed.stop();
});
