import { backoff } from "./backoff";

/** The part of `WebSocket` that is used. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((message: { data: unknown }) => void) | null;
  onclose: ((closed: { code: number }) => void) | null;
  close(code?: number): void;
}

export interface Environment {
  open(url: string): Socket;
  random(): number;
}

export const browser: Environment = {
  open: (url) => new WebSocket(url) as unknown as Socket,
  random: Math.random,
};

export interface Peer {
  /** Where to connect; asked again for each try, so that it can carry the cursor. */
  url(): string;
  opened(): void;
  message(text: string): void;
  /** The connection is gone, or could not be made. Whether to try again. */
  closed(code: number): boolean;
}

const OPEN_WITHIN_MS = 10_000;
const PROVED_AFTER_MS = 5_000;
/** Code of a connection that this side gave up; never seen on the wire. */
const GAVE_UP = 1006;

/**
 * One WebSocket that comes back. It does not read the messages: the peer decides what a
 * message means and whether a close is final. The back-off starts again from the bottom once a
 * connection has lasted for a while; merely opening does not count, or a server that accepts and
 * closes at once would be hammered.
 */
export class ReconnectingSocket {
  private readonly peer: Peer;
  private readonly environment: Environment;
  private socket: Socket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private waiting = false;

  constructor(peer: Peer, environment: Environment = browser) {
    this.peer = peer;
    this.environment = environment;
  }

  start(): void {
    this.stop();
    this.connect();
  }

  /** Close for good. The peer gets no more calls. */
  stop(): void {
    clearTimeout(this.timer);
    this.waiting = false;
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }

  /** Give up this connection and make a new one after the usual delay. */
  drop(): void {
    const socket = this.socket;
    if (socket) {
      this.lost(socket, GAVE_UP);
      socket.close();
    }
  }

  /** Try at once if a try is due later: the network or the user came back. */
  retryNow(): void {
    if (this.waiting) {
      clearTimeout(this.timer);
      this.connect();
    }
  }

  private connect(): void {
    this.waiting = false;
    const socket = this.environment.open(this.peer.url());
    this.socket = socket;
    this.timer = setTimeout(() => this.drop(), OPEN_WITHIN_MS);
    // Each handler asks first whether its socket is still the one: a socket that was dropped may
    // speak once more, after its successor was made.
    socket.onopen = () => {
      if (this.socket === socket) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => {
          this.attempt = 0;
        }, PROVED_AFTER_MS);
        this.peer.opened();
      }
    };
    socket.onmessage = ({ data }) => {
      if (this.socket === socket && typeof data === "string") {
        this.peer.message(data);
      }
    };
    socket.onclose = ({ code }) => this.lost(socket, code);
  }

  private lost(socket: Socket, code: number): void {
    if (this.socket !== socket) {
      return;
    }
    clearTimeout(this.timer);
    this.socket = null;
    if (this.peer.closed(code)) {
      this.waiting = true;
      const delay = backoff(this.attempt++, this.environment.random);
      this.timer = setTimeout(() => this.connect(), delay);
    }
  }
}
