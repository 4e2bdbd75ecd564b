import { duration, elapsed } from "../format/duration";
import { absolute, ago } from "../format/timestamp";
import { useNow } from "../hooks/use-now";

/** A time relative to now, the exact one on hover. */
export function Ago({ iso }: { iso: string | null }) {
  const now = useNow(iso !== null);
  if (iso === null) {
    return <span className="text-faint">–</span>;
  }
  return (
    <time dateTime={iso} title={absolute(iso)} className="whitespace-nowrap tabular-nums">
      {ago(iso, now)}
    </time>
  );
}

interface Timed {
  started_at: string | null;
  finished_at: string | null;
}

/** How long a run took; counts on while it is not finished. */
export function Elapsed({ run }: { run: Timed }) {
  const running = run.started_at !== null && run.finished_at === null;
  const now = useNow(running);
  const seconds = elapsed(run, now);
  if (seconds === null) {
    return <span className="text-faint">–</span>;
  }
  const text = running && seconds < 60 ? `${Math.floor(seconds)} s` : duration(seconds);
  return <span className="whitespace-nowrap tabular-nums">{text}</span>;
}
