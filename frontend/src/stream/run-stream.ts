import { isTerminal } from "./event-kinds";
import { asFrame, type Frame, parseObject } from "./frame";
import { SilenceTimer } from "./silence-timer";
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
const SILENCE_MS = 30_000;
const ASK_AGAIN_MS = 1_000;

/**
 * Every event of one run, in order, each exactly once, from the cursor to the terminal one;
 * through any number of lost connections and server restarts.
 *
 * The state is `live` only after every event has arrived that the server had when it was asked.
 * A connection that has been silent for half a minute is checked the same way, so that a socket
 * which a proxy forgot is noticed. After the terminal event the state stays `live`: nothing is
 * missing, though nobody is connected.
 */
export class RunStream implements Peer {
  private readonly options: RunStreamOptions;
  private readonly socket: ReconnectingSocket;
  private cursor: number;
  private knownHead: number | null = null;
  private connection = 0;
  private state: StreamState | null = null;
  private readonly silence = new SilenceTimer(SILENCE_MS, () => this.check(this.connection));
  private stalledAt: number | null = null;
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
    this.setState("connecting");
    this.socket.start();
  }

  stop(): void {
    this.connection++;
    this.silence.stop();
    this.socket.stop();
  }

  retryNow(): void {
    this.socket.retryNow();
  }

  url(): string {
    return this.options.url(this.cursor);
  }

  opened(): void {
    this.connection++;
    this.knownHead = null;
    this.stalledAt = null;
    this.onlyGreeted = false;
    this.setState("catching-up");
    this.fetchHead(this.connection);
    this.silence.reset();
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
    this.silence.stop();
    if (code === ENDED && this.onlyGreeted) {
      this.setState("live");
      this.options.onEnd?.("ended");
      return false;
    }
    this.setState("offline");
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
      this.setState("live");
      this.options.onEnd?.("ended");
      return;
    }
    this.updateState();
    this.silence.reset();
  }

  private updateState(): void {
    if (this.knownHead !== null && this.cursor >= this.knownHead) {
      this.stalledAt = null;
      this.setState("live");
    }
  }

  /** `connection` tells an answer for this connection from one that comes after it was lost. */
  private fetchHead(connection: number): void {
    this.options.head().then(
      (seq) => {
        if (connection === this.connection) {
          this.knownHead = seq;
          this.updateState();
        }
      },
      () =>
        setTimeout(
          () => connection === this.connection && this.fetchHead(connection),
          ASK_AGAIN_MS,
        ),
    );
  }

  private check(connection: number): void {
    this.options.head().then(
      (seq) => {
        if (connection === this.connection && seq > this.cursor) {
          this.catchUp(seq);
        }
      },
      () => connection === this.connection && this.socket.drop(),
    );
  }

  /** The server has more than was received: once can be chance, twice at one place cannot. */
  private catchUp(seq: number): void {
    if (this.stalledAt === this.cursor) {
      this.socket.drop();
      return;
    }
    this.stalledAt = this.cursor;
    this.knownHead = seq;
    this.setState("catching-up");
  }

  private setState(state: StreamState): void {
    if (state !== this.state) {
      this.state = state;
      this.options.onState(state);
    }
  }
}
