/** Calls when nothing was heard for `ms`, and again after each further `ms` of silence. Hearing
 * costs no timer: thousands of messages a second only note the time. */
export class Quiet {
  private readonly ms: number;
  private readonly onQuiet: () => void;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private heardAt = 0;

  constructor(ms: number, onQuiet: () => void) {
    this.ms = ms;
    this.onQuiet = onQuiet;
  }

  heard(): void {
    this.heardAt = Date.now();
    this.timer ??= setTimeout(() => this.look(), this.ms);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const left = this.heardAt + this.ms - Date.now();
    this.timer = setTimeout(() => this.look(), left > 0 ? left : this.ms);
    if (left <= 0) {
      this.onQuiet();
    }
  }
}
