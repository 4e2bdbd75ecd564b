const FIRST_MS = 250;
const LONGEST_MS = 8_000;

/**
 * How long to wait before try number `attempt` (from 0): doubling from a quarter of a second up to
 * eight, of which half is chance, so that a thousand clients of a restarted server do not return
 * in the same instant. `random` gives [0, 1).
 */
export function backoff(attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return ceiling / 2 + (ceiling / 2) * random();
}
