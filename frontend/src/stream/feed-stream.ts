import { parseObject } from "./frame";
import { SilenceTimer } from "./silence-timer";
import { browser, type Environment, type Peer, ReconnectingSocket } from "./socket";
import type { StreamState } from "./state";

export interface FeedStreamOptions<Run> {
  url(): string;
  /** Resolves when the server answers; asked when the feed has been silent for long. */
  probe(): Promise<unknown>;
  /** The server listens from now on: whatever was read before may have missed something. */
  onReady(): void;
  onRun(run: Run): void;
  onDeleted(runId: string): void;
  onState(state: StreamState): void;
  environment?: Environment;
}

const SILENCE_MS = 30_000;

/**
 * News about all runs. It has no history: what happened while it was away is not sent again, so
 * each `onReady` asks its owner to read the list anew. `live` from the server's first frame on.
 */
export class FeedStream<Run> implements Peer {
  private readonly options: FeedStreamOptions<Run>;
  private readonly socket: ReconnectingSocket;
  private connection = 0;
  private readonly silence = new SilenceTimer(SILENCE_MS, () => this.check(this.connection));

  constructor(options: FeedStreamOptions<Run>) {
    this.options = options;
    this.socket = new ReconnectingSocket(this, options.environment ?? browser);
  }

  start(): void {
    this.options.onState("connecting");
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
    return this.options.url();
  }

  opened(): void {
    this.connection++;
    this.options.onState("catching-up");
    this.silence.reset();
  }

  message(text: string): void {
    const value = parseObject(text);
    if (value === null) {
      this.socket.drop();
      return;
    }
    this.silence.reset();
    if (value.event === "ready") {
      this.options.onState("live");
      this.options.onReady();
    } else if (value.event === "run") {
      this.options.onRun(value.data as Run);
    } else if (value.event === "deleted" && typeof value.run_id === "string") {
      this.options.onDeleted(value.run_id);
    }
  }

  closed(): boolean {
    this.connection++;
    this.silence.stop();
    this.options.onState("offline");
    return true;
  }

  private check(connection: number): void {
    this.options.probe().catch(() => connection === this.connection && this.socket.drop());
  }
}
