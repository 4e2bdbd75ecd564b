/** Calls `onSilence` when `reset` was not called for `ms`, and again after each further `ms`. A reset
 * sets no timer, it stores the time: thousands of messages a second cost little. */
export class SilenceTimer {
  private readonly ms: number;
  private readonly onSilence: () => void;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private resetAt = 0;

  constructor(ms: number, onSilence: () => void) {
    this.ms = ms;
    this.onSilence = onSilence;
  }

  reset(): void {
    this.resetAt = Date.now();
    this.timer ??= setTimeout(() => this.check(), this.ms);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private check(): void {
    const left = this.resetAt + this.ms - Date.now();
    this.timer = setTimeout(() => this.check(), left > 0 ? left : this.ms);
    if (left <= 0) {
      this.onSilence();
    }
  }
}
