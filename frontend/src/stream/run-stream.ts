import { isTerminal } from "./event-kinds";
import { asFrame, type Frame, parseObject } from "./frame";
import { Quiet } from "./silence-timer";
import { browser, type Environment, type Peer, ReconnectingSocket } from "./socket";
import type { StreamEnd, StreamState } from "./state";

export interface RunStreamOptions {
  /** The address of the run's events after `seq`. */
  url(after: number): string;
  /** The seq of the run's newest event as the server knows it now. */
  head(): Promise<number>;
  onFrame(frame: Frame): void;
  onState(state: StreamState): void;
  /** Nothing more will come, and no connection is made any more. Called once, after the state. */
  onEnd?(end: StreamEnd): void;
  /** The server skipped events; they are asked for again. */
  onGap?(gap: { expected: number; got: number }): void;
  /** The last seq that is known already. */
  after?: number;
  environment?: Environment;
}

/** Closes after which a new connection would be closed the same way. */
const FINAL: Readonly<Record<number, StreamEnd>> = { 4400: "refused", 4404: "unknown" };
/** The run has ended and everything was sent. Right after the greeting: before the cursor. */
const ENDED = 1000;
const QUIET_MS = 30_000;
const ASK_AGAIN_MS = 1_000;

/**
 * Every event of one run, in order, each exactly once, from the cursor to the terminal one;
 * through any number of lost connections and server restarts.
 *
 * `live` is said only after the server was asked how far the run is and all of that has arrived.
 * A connection that has been silent for half a minute is checked the same way, so that a socket
 * which a proxy forgot is noticed. After the terminal event the state stays `live`: nothing is
 * missing, though nobody is connected.
 */
export class RunStream implements Peer {
  private readonly options: RunStreamOptions;
  private readonly socket: ReconnectingSocket;
  private cursor: number;
  private target: number | null = null;
  private connection = 0;
  private state: StreamState | null = null;
  private readonly quiet = new Quiet(QUIET_MS, () => this.check(this.connection));
  private behindAt: number | null = null;
  /** The server has greeted on this connection, and sent nothing since. */
  private onlyGreeted = false;

  constructor(options: RunStreamOptions) {
    this.options = options;
    this.cursor = options.after ?? 0;
    this.socket = new ReconnectingSocket(this, options.environment ?? browser);
  }

  /** The seq of the last event that was delivered. */
  get seq(): number {
    return this.cursor;
  }

  start(): void {
    this.enter("connecting");
    this.socket.start();
  }

  stop(): void {
    this.connection++;
    this.quiet.stop();
    this.socket.stop();
  }

  hurry(): void {
    this.socket.hurry();
  }

  url(): string {
    return this.options.url(this.cursor);
  }

  opened(): void {
    this.connection++;
    this.target = null;
    this.behindAt = null;
    this.onlyGreeted = false;
    this.enter("catching-up");
    this.askHead(this.connection);
    this.quiet.heard();
  }

  message(text: string): void {
    const value = parseObject(text);
    if (value === null) {
      this.socket.drop();
      return;
    }
    const frame = asFrame(value);
    this.onlyGreeted = value.event === "ready" && frame === null;
    if (frame === null || frame.seq <= this.cursor) {
      return;
    }
    if (frame.seq > this.cursor + 1) {
      this.options.onGap?.({ expected: this.cursor + 1, got: frame.seq });
      this.socket.drop();
      return;
    }
    this.deliver(frame);
  }

  closed(code: number): boolean {
    this.connection++;
    this.quiet.stop();
    if (code === ENDED && this.onlyGreeted) {
      this.enter("live");
      this.options.onEnd?.("ended");
      return false;
    }
    this.enter("offline");
    const end = FINAL[code];
    if (end) {
      this.options.onEnd?.(end);
    }
    return end === undefined;
  }

  private deliver(frame: Frame): void {
    this.cursor = frame.seq;
    this.options.onFrame(frame);
    if (isTerminal(frame.event)) {
      this.stop();
      this.enter("live");
      this.options.onEnd?.("ended");
      return;
    }
    this.settle();
    this.quiet.heard();
  }

  private settle(): void {
    if (this.target !== null && this.cursor >= this.target) {
      this.behindAt = null;
      this.enter("live");
    }
  }

  /** `connection` tells an answer for this connection from one that comes after it was lost. */
  private askHead(connection: number): void {
    this.options.head().then(
      (seq) => {
        if (connection === this.connection) {
          this.target = seq;
          this.settle();
        }
      },
      () =>
        setTimeout(() => connection === this.connection && this.askHead(connection), ASK_AGAIN_MS),
    );
  }

  private check(connection: number): void {
    this.options.head().then(
      (seq) => {
        if (connection === this.connection && seq > this.cursor) {
          this.late(seq);
        }
      },
      () => connection === this.connection && this.socket.drop(),
    );
  }

  /** The server has more than was received: once can be chance, twice at one place cannot. */
  private late(seq: number): void {
    if (this.behindAt === this.cursor) {
      this.socket.drop();
      return;
    }
    this.behindAt = this.cursor;
    this.target = seq;
    this.enter("catching-up");
  }

  private enter(state: StreamState): void {
    if (state !== this.state) {
      this.state = state;
      this.options.onState(state);
    }
  }
}
