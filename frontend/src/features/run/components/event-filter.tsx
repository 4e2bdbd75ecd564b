import { X } from "lucide-react";
import type { RunSearch } from "../search";
import { eventDot } from "./event-styles";

interface EventFilterProps {
  names: ReadonlyMap<string, number>;
  search: RunSearch;
  onLook: (change: RunSearch) => void;
}

/** The event names that came, to choose from, and the node that was chosen in the graph. */
export function EventFilter({ names, search, onLook }: EventFilterProps) {
  const chosen = new Set(search.events);
  const toggle = (name: string) => {
    const next = new Set(chosen);
    if (!next.delete(name)) {
      next.add(name);
    }
    onLook({ events: next.size > 0 ? [...next] : undefined });
  };
  const all = new Map([...[...chosen].map((name) => [name, 0] as const), ...names]);
  return (
    <fieldset className="flex h-11 shrink-0 items-center gap-1.5 overflow-x-auto border-b border-line px-3 pr-6 [mask-image:linear-gradient(to_right,black_calc(100%-1.5rem),transparent)] [scrollbar-width:none]">
      <legend className="sr-only">Show only</legend>
      {search.node && (
        <button
          type="button"
          onClick={() => onLook({ node: undefined })}
          className={`${CHIP} border-accent bg-raised text-ink`}
        >
          <span className="sr-only">Remove filter: </span>
          node <span className="font-mono">{search.node}</span>
          <X aria-hidden className="size-3" />
        </button>
      )}
      {[...all].map(([name, count]) => (
        <button
          key={name}
          type="button"
          aria-pressed={chosen.has(name)}
          onClick={() => toggle(name)}
          className={`${CHIP} border-line text-dim hover:text-ink aria-pressed:border-accent aria-pressed:bg-raised aria-pressed:text-ink`}
        >
          <span aria-hidden className={`size-1.5 rounded-full ${eventDot(name)}`} />
          {name}
          <span className="text-2xs text-faint tabular-nums">{count}</span>
        </button>
      ))}
    </fieldset>
  );
}

const CHIP =
  "inline-flex h-6.5 shrink-0 items-center gap-1.5 rounded-full border px-2.5 text-xs outline-offset-[-2px] transition-colors";
