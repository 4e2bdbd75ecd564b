import { ChevronRight } from "lucide-react";
import { memo } from "react";
import { timeOfDay } from "@/shared/format/timestamp";
import { JsonTree } from "@/shared/ui/json-tree";
import { kindOf } from "@/stream/event-kinds";
import type { Frame } from "@/stream/frame";
import { eventDot, preview } from "./event-styles";
import { WholeEvent } from "./whole-event";

interface EventRowProps {
  frame: Frame;
  /** Where it comes from. */
  path: string;
  open: boolean;
  onToggle: (seq: number) => void;
}

/** One event on one line; a click unfolds all of it. */
export const EventRow = memo(function EventRow({ frame, path, open, onToggle }: EventRowProps) {
  const { event, seq, ts, step } = frame;
  return (
    <div data-testid="event-row" data-event={event} data-seq={seq}>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => onToggle(seq)}
        className="flex h-9 w-full items-center gap-3 px-3 text-left text-xs outline-offset-[-2px] hover:bg-raised"
      >
        <ChevronRight
          aria-hidden
          className={`size-3.5 shrink-0 text-faint transition-transform ${open ? "rotate-90" : ""}`}
        />
        <span className="w-9 shrink-0 text-right font-mono text-2xs text-faint tabular-nums">
          {seq}
        </span>
        <time
          dateTime={ts}
          title={ts}
          className="hidden w-21 shrink-0 font-mono text-2xs text-faint tabular-nums sm:block"
        >
          {timeOfDay(ts)}
        </time>
        <span className="flex w-28 shrink-0 items-center gap-2 font-medium">
          <span aria-hidden className={`size-1.5 shrink-0 rounded-full ${eventDot(event)}`} />
          <span className="truncate" title={kindOf(event)?.meaning}>
            {event}
          </span>
        </span>
        <bdi
          title={path}
          className="min-w-0 flex-1 truncate font-mono text-dim sm:w-28 sm:flex-none xl:w-36"
        >
          {path}
        </bdi>
        <span className="hidden min-w-0 flex-1 truncate font-mono text-2xs text-faint sm:block">
          {preview(frame)}
        </span>
        {step !== undefined && (
          <span className="hidden shrink-0 text-2xs text-faint tabular-nums sm:block">
            step {step}
          </span>
        )}
      </button>
      {open && (
        <div className="border-y border-line bg-canvas/60 px-4 py-3">
          <JsonTree value={frame} label={`Event ${seq}`} />
          {frame.data_url && <WholeEvent frame={frame} />}
        </div>
      )}
    </div>
  );
});
