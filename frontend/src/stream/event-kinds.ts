import { EVENT_TABLE, RUN_STATUSES } from "./event-table";

export { RUN_STATUSES };

export type RunStatus = (typeof RUN_STATUSES)[number];
/** The name of a row of the event table. An event `custom:<name>` without a row is one of `custom`. */
export type EventName = keyof typeof EVENT_TABLE;

/** Everything that the name of an event says by itself. */
export interface EventKind {
  meaning: string;
  /** The status of the run after the event; null when the event does not change it. */
  status: RunStatus | null;
  /** The statuses that `status` replaces; empty for any. */
  replaces: readonly RunStatus[];
  /** Whether the event is the last of its run. */
  terminal: boolean;
  /** The stream modes that show it; empty when it is about the run itself. */
  modes: readonly string[];
}

export const EVENT_KINDS: Readonly<Record<EventName, EventKind>> = EVENT_TABLE;

const TERMINAL_STATUSES: ReadonlySet<string | null> = new Set(
  Object.values(EVENT_KINDS).flatMap(({ terminal, status }) => (terminal ? [status] : [])),
);

/** Whether a run of this status has ended. */
export function isTerminalStatus(status: RunStatus): boolean {
  return TERMINAL_STATUSES.has(status);
}

/** The name of an event's row; undefined for an event that only a newer server knows. */
export function eventName(event: string): EventName | undefined {
  if (Object.hasOwn(EVENT_KINDS, event)) {
    return event as EventName;
  }
  return event.startsWith("custom:") ? "custom" : undefined;
}

/** The row of an event; undefined for an event that only a newer server knows. */
export function kindOf(event: string): EventKind | undefined {
  const name = eventName(event);
  return name && EVENT_KINDS[name];
}

/** The status of a run after `event`, when it was `before`. */
export function statusAfter(event: string, before: RunStatus | null): RunStatus | null {
  const kind = kindOf(event);
  if (!kind?.status) {
    return before;
  }
  const fits = kind.replaces.length === 0 || (before !== null && kind.replaces.includes(before));
  return fits ? kind.status : before;
}

/** Whether an event is the last of its run. */
export function isTerminal(event: string): boolean {
  return kindOf(event)?.terminal ?? false;
}

/** Whether an event is about the run itself, so that other fields of the run may have changed too.
 * An unknown event may be about anything. */
export function isAboutRun(event: string): boolean {
  return (kindOf(event)?.modes.length ?? 0) === 0;
}
