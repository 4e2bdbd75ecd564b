/**
 * A server of one run's events, for tests: it keeps a log, answers each connection with what comes
 * after its `?after=`, can be down, and can misbehave in the ways that a client must survive.
 */
import { isTerminal } from "./event-kinds";
import type { Frame } from "./frame";
import type { Environment, Socket } from "./socket";

export class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  onclose: ((closed: { code: number }) => void) | null = null;
  readonly url: string;
  sent = 0;
  open = false;
  closedBy: "client" | "server" | null = null;

  constructor(url: string) {
    this.url = url;
  }

  get after(): number {
    return Number(new URL(this.url).searchParams.get("after"));
  }

  accept(): void {
    this.open = true;
    this.onopen?.();
  }

  send(value: unknown): void {
    this.onmessage?.({ data: typeof value === "string" ? value : JSON.stringify(value) });
  }

  end(code: number): void {
    if (this.closedBy === null) {
      this.closedBy = "server";
      this.open = false;
      this.onclose?.({ code });
    }
  }

  close(): void {
    if (this.closedBy === null) {
      this.closedBy = "client";
      this.open = false;
      // A browser calls this later, after the caller has returned.
      queueMicrotask(() => this.onclose?.({ code: 1005 }));
    }
  }
}

export class FakeServer implements Environment {
  readonly sockets: FakeSocket[] = [];
  readonly log: Frame[] = [];
  up = true;
  /** Sockets stay open and nothing arrives: what a proxy that lost a connection looks like. */
  mute = false;
  /** Holds back the events after this one, so that a client can be seen catching up. */
  upTo = Number.POSITIVE_INFINITY;

  readonly open = (url: string): FakeSocket => {
    const socket = new FakeSocket(url);
    this.sockets.push(socket);
    queueMicrotask(() => {
      if (this.up) {
        socket.accept();
        this.flush();
      } else {
        socket.end(1006);
      }
    });
    return socket;
  };

  readonly random = (): number => 0.5;

  head = async (): Promise<number> => {
    if (!this.up) {
      throw new Error("down");
    }
    return this.log.length;
  };

  get socket(): FakeSocket {
    const newest = this.sockets.at(-1);
    if (!newest) {
      throw new Error("nobody connected");
    }
    return newest;
  }

  get openSockets(): number {
    return this.sockets.filter((socket) => socket.open).length;
  }

  happen(...events: string[]): void {
    for (const event of events) {
      this.log.push({ event, seq: this.log.length + 1, run_id: "r", ts: "2026-01-01T00:00:00Z" });
    }
    this.flush();
  }

  flush(): void {
    if (this.mute) {
      return;
    }
    for (const socket of this.sockets.filter((socket) => socket.open)) {
      const unsent = this.log.slice(socket.after + socket.sent, this.upTo);
      for (const frame of unsent) {
        socket.sent++;
        socket.send(frame);
      }
      if (isTerminal(unsent.at(-1)?.event ?? "")) {
        socket.end(1000);
      }
    }
  }

  stop(code = 1012): void {
    this.up = false;
    for (const socket of this.sockets) {
      socket.end(code);
    }
  }
}
