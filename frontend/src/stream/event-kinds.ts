/** What the name of an event says by itself: one row of the server's table (`EventName` in the
 * API's schema, from `runs/engine/events.py`). */
export interface EventKind {
  meaning: string;
  /** The status of the run after the event; null when the event does not change it. */
  status: string | null;
  /** The statuses that `status` takes the place of; empty for any. */
  replaces: readonly string[];
  /** Whether the event is the last of its run. */
  terminal: boolean;
  /** The stream modes that show it; none: it is about the run itself. */
  modes: readonly string[];
}

/** Put here by the build, from openapi.json (vite.config.ts). */
declare const __EVENT_KINDS__: Readonly<Record<string, EventKind>>;

export const EVENT_KINDS = __EVENT_KINDS__;

const CUSTOM = "custom:";

/** The kind of an event; undefined for one that only a newer server knows. */
export function kindOf(event: string): EventKind | undefined {
  return Object.hasOwn(EVENT_KINDS, event)
    ? EVENT_KINDS[event]
    : event.startsWith(CUSTOM)
      ? EVENT_KINDS.custom
      : undefined;
}

/** The status of a run after `event`, when it was `before`. */
export function statusAfter(event: string, before: string | null): string | null {
  const kind = kindOf(event);
  if (!kind?.status) {
    return before;
  }
  const fits = kind.replaces.length === 0 || (before !== null && kind.replaces.includes(before));
  return fits ? kind.status : before;
}

/** Whether an event is about the run itself: its other facts may have changed with it. What is not
 * known may say anything. */
export function isAboutRun(event: string): boolean {
  return (kindOf(event)?.modes.length ?? 0) === 0;
}
