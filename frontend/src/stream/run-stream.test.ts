import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeServer } from "./fake-server";
import type { Frame } from "./frame";
import { RunStream } from "./run-stream";
import type { StreamEnd, StreamState } from "./state";

function follow(server: FakeServer, after = 0) {
  const frames: Frame[] = [];
  const states: StreamState[] = [];
  const ends: StreamEnd[] = [];
  const gaps: { expected: number; got: number }[] = [];
  const stream = new RunStream({
    url: (seq) => `ws://server/api/ws/r?after=${seq}`,
    head: () => server.head(),
    onFrame: (frame) => frames.push(frame),
    onState: (state) => states.push(state),
    onEnd: (end) => ends.push(end),
    onGap: (gap) => gaps.push(gap),
    after,
    environment: server,
  });
  stream.start();
  return { stream, frames, states, ends, gaps, seqs: () => frames.map((frame) => frame.seq) };
}

const soon = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a run that goes well", () => {
  test("gives past events, then live ones, and ends", async () => {
    const server = new FakeServer();
    server.happen("created", "started");
    const { states, ends, seqs } = follow(server);
    await soon();
    expect(seqs()).toEqual([1, 2]);
    expect(states).toEqual(["connecting", "catching-up", "live"]);
    expect(ends).toEqual([]);

    server.happen("node_started", "completed");
    expect(seqs()).toEqual([1, 2, 3, 4]);
    expect(states.at(-1)).toBe("live");
    expect(ends).toEqual(["ended"]);
  });

  test("does not connect again after the terminal event", async () => {
    const server = new FakeServer();
    server.happen("created", "completed");
    const { states, ends } = follow(server);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(server.sockets).toHaveLength(1);
    expect(server.openSockets).toBe(0);
    expect(states.at(-1)).toBe("live");
    expect(ends).toEqual(["ended"]);
  });

  test("is catching up until it has what the server had when asked", async () => {
    const server = new FakeServer();
    server.happen("created", "started", "node_started");
    server.upTo = 2;
    const { states } = follow(server);
    await soon();
    expect(states.at(-1)).toBe("catching-up");

    server.upTo = Number.POSITIVE_INFINITY;
    server.flush();
    expect(states.at(-1)).toBe("live");
  });

  test("is not live before the server said how far the run is", async () => {
    const server = new FakeServer();
    server.happen("created");
    let answer: (seq: number) => void = () => {};
    server.head = () => new Promise((resolve) => (answer = resolve));
    const { states, seqs } = follow(server);
    await soon();
    expect(seqs()).toEqual([1]);
    expect(states.at(-1)).toBe("catching-up");
    answer(1);
    await soon();
    expect(states.at(-1)).toBe("live");
  });

  test("asks again how far the run is when that could not be answered", async () => {
    const server = new FakeServer();
    server.happen("created");
    const head = server.head;
    server.head = () => Promise.reject(new Error("500"));
    const { states, stream } = follow(server);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(states.at(-1)).toBe("catching-up");
    server.head = head;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(states.at(-1)).toBe("live");
    stream.stop();
  });

  test("starts at its cursor", async () => {
    const server = new FakeServer();
    server.happen("created", "started", "node_started");
    const { seqs } = follow(server, 2);
    await soon();
    expect(server.socket.after).toBe(2);
    expect(seqs()).toEqual([3]);
  });
});

describe("a server that restarts", () => {
  test("is seen as offline, and every event arrives once and in order", async () => {
    const server = new FakeServer();
    server.happen("created", "started");
    const { states, ends, seqs } = follow(server);
    await soon();

    server.stop();
    expect(states.at(-1)).toBe("offline");
    server.happen("node_started", "node_update");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(states.at(-1)).toBe("offline");

    server.up = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(states.slice(-3)).toEqual(["offline", "catching-up", "live"]);
    expect(server.socket.after).toBe(2);
    server.happen("completed");
    expect(seqs()).toEqual([1, 2, 3, 4, 5]);
    expect(ends).toEqual(["ended"]);
  });

  test("is tried ever more slowly, but at least every eight seconds", async () => {
    const server = new FakeServer();
    const { stream } = follow(server);
    await soon();
    server.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    const tries = server.sockets.length - 1;
    expect(tries).toBeGreaterThanOrEqual(60 / 8);
    expect(tries).toBeLessThan(20);
    stream.stop();
  });

  test("is tried fast again once it has lasted for a while", async () => {
    const server = new FakeServer();
    const { stream } = follow(server);
    await soon();
    server.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    server.up = true;
    await vi.advanceTimersByTimeAsync(20_000);
    server.stop();
    const tries = server.sockets.length;
    await vi.advanceTimersByTimeAsync(250);
    expect(server.sockets.length).toBe(tries + 1);
    stream.stop();
  });

  test("that accepts and closes at once is not hammered", async () => {
    const server = new FakeServer();
    server.happen("created");
    server.mute = true;
    const { stream } = follow(server);
    server.head = async () => 1;
    for (let second = 0; second < 60; second++) {
      await vi.advanceTimersByTimeAsync(1_000);
      server.socket.end(1011);
    }
    expect(server.sockets.length).toBeLessThan(20);
    stream.stop();
  });

  test("is tried at once when the user comes back", async () => {
    const server = new FakeServer();
    const { stream, states } = follow(server);
    await soon();
    server.stop();
    await vi.advanceTimersByTimeAsync(30_000);
    server.up = true;
    const tries = server.sockets.length;
    stream.retryNow();
    await soon();
    expect(server.sockets).toHaveLength(tries + 1);
    expect(states.at(-1)).toBe("live");
    stream.retryNow();
    await soon();
    expect(server.sockets).toHaveLength(tries + 1);
  });

  test("a close with 1000 right after the greeting is the end: the cursor is beyond it", async () => {
    const server = new FakeServer();
    server.happen("created", "completed");
    server.mute = true;
    const { states, ends, seqs } = follow(server, 2);
    await soon();
    server.socket.send({ event: "ready", protocol: 1 });
    server.socket.end(1000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.sockets).toHaveLength(1);
    expect([seqs(), ends, states.at(-1)]).toEqual([[], ["ended"], "live"]);
  });

  test("a close with 1000 before the terminal event is not the end", async () => {
    const server = new FakeServer();
    server.happen("created");
    const { states, seqs } = follow(server);
    await soon();
    server.socket.end(1000);
    expect(states.at(-1)).toBe("offline");
    await vi.advanceTimersByTimeAsync(1_000);
    server.happen("completed");
    expect(seqs()).toEqual([1, 2]);
  });
});

describe("a server that errs", () => {
  test("duplicates are dropped", async () => {
    const server = new FakeServer();
    server.happen("created", "started");
    const { seqs } = follow(server);
    await soon();
    server.socket.send(server.log[0]);
    server.socket.send(server.log[1]);
    server.happen("node_started");
    expect(seqs()).toEqual([1, 2, 3]);
  });

  test("a gap is reported, not delivered, and filled from the cursor", async () => {
    const server = new FakeServer();
    server.happen("created");
    const { seqs, gaps, states } = follow(server);
    await soon();
    server.socket.send({ event: "custom", seq: 3, run_id: "r", ts: "" });
    expect(gaps).toEqual([{ expected: 2, got: 3 }]);
    expect(seqs()).toEqual([1]);
    expect(states.at(-1)).toBe("offline");

    server.happen("started", "custom");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(seqs()).toEqual([1, 2, 3]);
    expect(states.at(-1)).toBe("live");
  });

  test("what is not JSON costs the connection, what is of another kind costs nothing", async () => {
    const server = new FakeServer();
    server.happen("created");
    const { seqs } = follow(server);
    await soon();
    server.socket.send({ event: "ready", protocol: 2 });
    server.socket.send("{");
    expect(server.openSockets).toBe(0);
    await vi.advanceTimersByTimeAsync(1_000);
    server.happen("started");
    expect(seqs()).toEqual([1, 2]);
  });

  test("a connection that died silently is noticed", async () => {
    const server = new FakeServer();
    server.happen("created");
    const { seqs, states, stream } = follow(server);
    await soon();
    server.mute = true;
    server.happen("started");
    expect(states.at(-1)).toBe("live");
    await vi.advanceTimersByTimeAsync(31_000);
    expect(states.at(-1)).toBe("catching-up");
    server.mute = false;
    await vi.advanceTimersByTimeAsync(40_000);
    expect(seqs()).toEqual([1, 2]);
    expect(states.at(-1)).toBe("live");
    stream.stop();
  });

  test("silence of a server that cannot be reached is offline", async () => {
    const server = new FakeServer();
    server.happen("created");
    const { states, stream } = follow(server);
    await soon();
    server.up = false;
    await vi.advanceTimersByTimeAsync(31_000);
    expect(states.at(-1)).toBe("offline");
    stream.stop();
  });

  test.each([
    [4404, "unknown"],
    [4400, "refused"],
  ] as const)("after a close with %i nothing is tried any more", async (code, end) => {
    const server = new FakeServer();
    const { states, ends } = follow(server);
    await soon();
    server.socket.end(code);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states.at(-1)).toBe("offline");
    expect(ends).toEqual([end]);
    expect(server.sockets).toHaveLength(1);
  });
});

test("a stream that was stopped says nothing more", async () => {
  const server = new FakeServer();
  server.happen("created");
  const { stream, states, seqs } = follow(server);
  await soon();
  const before = [...states];
  const { socket } = server;
  stream.stop();
  socket.send({ event: "started", seq: 2, run_id: "r", ts: "" });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(states).toEqual(before);
  expect(seqs()).toEqual([1]);
  expect(server.sockets).toHaveLength(1);
});

test("each event arrives once and in order, whatever breaks, and only four states are said", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    let drawn = seed;
    const chance = (below: number) => {
      drawn = (drawn * 48_271) % 2_147_483_647;
      return drawn % below;
    };
    const server = new FakeServer();
    server.happen("created", "started");
    const { states, ends, seqs, stream } = follow(server);
    for (let turn = 0; turn < 60; turn++) {
      const act = chance(6);
      if (act === 0) {
        server.stop([1006, 1011, 1012, 1013][chance(4)]);
      } else if (act === 1 && server.sockets.length > 0) {
        server.socket.send(server.log[chance(server.log.length)]); // again, or too early
      } else if (act === 2) {
        stream.retryNow();
      } else {
        server.up = true;
        server.happen(...Array<string>(chance(4)).fill("custom"));
      }
      await vi.advanceTimersByTimeAsync(chance(3_000));
    }
    server.up = true;
    server.happen("completed");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seqs()).toEqual(server.log.map((frame) => frame.seq));
    expect(ends).toEqual(["ended"]);
    expect(states.at(-1)).toBe("live");
    const known = ["connecting", "catching-up", "live", "offline"];
    expect(states.filter((state) => !known.includes(state))).toEqual([]);
  }
});
