import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

function tick(): void {
  now = Date.now();
  for (const listener of listeners) {
    listener();
  }
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now();
    timer = setInterval(tick, 1000);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
    }
  };
}

const subscribeToNothing = () => () => {};
const current = () => now;

/** The time, anew each second; one timer for the whole page. Without `ticking` it stands still. */
export function useNow(ticking = true): number {
  return useSyncExternalStore(ticking ? subscribe : subscribeToNothing, current);
}
