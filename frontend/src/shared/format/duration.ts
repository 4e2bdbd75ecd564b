/** `seconds` in at most two units: `840 ms`, `12.4 s`, `3 m 05 s`, `2 h 14 m`, `3 d 4 h`. */
export function duration(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 0.9995) {
    return `${Math.round(s * 1000)} ms`;
  }
  if (s < 59.95) {
    return `${s.toFixed(1)} s`;
  }
  const whole = Math.round(s);
  if (whole < 3600) {
    return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  }
  if (whole < 86_400) {
    return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  }
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** How long a run took, or has been taking at `now`; null before it started. */
export function elapsed(
  run: { started_at: string | null; finished_at: string | null },
  now: number,
): number | null {
  if (run.started_at === null) {
    return null;
  }
  const end = run.finished_at === null ? now : Date.parse(run.finished_at);
  return Math.max(0, (end - Date.parse(run.started_at)) / 1000);
}
