import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, Pause } from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Empty } from "@/shared/ui/notice";
import type { Frame } from "@/stream/frame";
import { type LogSnapshot, ownerOf, pathOf } from "../model/event-log";
import type { RunSearch } from "../search";
import { EventFilter } from "./event-filter";
import { EventRow } from "./event-row";

interface EventsPaneProps {
  log: LogSnapshot;
  live: boolean;
  search: RunSearch;
  onLook: (change: RunSearch) => void;
}

const ROW_HEIGHT = 36;
const AT_END = 24;

/** Every event, in order. Follows the newest until somebody scrolls up or pauses. */
export function EventsPane({ log, live, search, onLook }: EventsPaneProps) {
  const frames = useFiltered(log, search);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const scroller = useRef<HTMLDivElement>(null);
  const { following, setFollowing, watch } = useFollowing(live, scroller);
  const getItemKey = useCallback((index: number) => frames[index]?.seq ?? index, [frames]);
  const rows = useVirtualizer({
    count: frames.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    getItemKey,
    overscan: 30,
  });

  const count = frames.length;
  useEffect(() => {
    if (following && count > 0) {
      rows.scrollToIndex(count - 1, { align: "end" });
    }
  }, [following, count, rows]);

  const toggle = useCallback(
    (seq: number) => {
      setFollowing(false);
      setOpen((before) => {
        const next = new Set(before);
        if (!next.delete(seq)) {
          next.add(seq);
        }
        return next;
      });
    },
    [setFollowing],
  );

  return (
    <>
      <EventFilter names={log.names} search={search} onLook={onLook} />
      <div className="relative flex min-h-0 flex-1 flex-col">
        <section
          ref={scroller}
          aria-label="Events"
          className="min-h-0 flex-1 overflow-y-auto outline-offset-[-2px] [overflow-anchor:none]"
          {...watch}
        >
          {count === 0 && (
            <Empty title={log.frames.length === 0 ? "No events yet" : "No event fits the filter"} />
          )}
          <ol className="relative w-full" style={{ height: rows.getTotalSize() }}>
            {rows.getVirtualItems().map(({ index, key, start }) => {
              const frame = frames[index] as Frame;
              return (
                <li
                  key={key}
                  ref={rows.measureElement}
                  aria-setsize={count}
                  aria-posinset={index + 1}
                  data-index={index}
                  className="absolute inset-x-0 top-0 border-b border-line/60"
                  style={{ transform: `translateY(${start}px)` }}
                >
                  <EventRow
                    frame={frame}
                    path={pathOf(log, frame).join(" › ")}
                    open={open.has(frame.seq)}
                    onToggle={toggle}
                  />
                </li>
              );
            })}
          </ol>
        </section>
        {live && <FollowButton following={following} onClick={() => setFollowing(!following)} />}
      </div>
    </>
  );
}

function FollowButton({ following, onClick }: { following: boolean; onClick: () => void }) {
  const Icon = following ? Pause : ArrowDown;
  return (
    <button
      type="button"
      onClick={onClick}
      className={`absolute right-4 bottom-4 inline-flex h-8 items-center gap-1.5 rounded-full border px-3 text-xs font-medium shadow-lg transition-colors ${
        following
          ? "border-line bg-raised/90 text-dim hover:text-ink"
          : "border-transparent bg-accent-deep text-white"
      }`}
    >
      <Icon aria-hidden className="size-3.5" />
      {following ? "Pause scrolling" : "Follow newest"}
    </button>
  );
}

function useFiltered(log: LogSnapshot, { events, node }: RunSearch): readonly Frame[] {
  const { frames } = log;
  return useMemo(() => {
    if (!events && !node) {
      return frames;
    }
    const names = events && new Set(events);
    return frames.filter(
      (frame) => (!names || names.has(frame.event)) && (!node || ownerOf(log, frame) === node),
    );
  }, [log, frames, events, node]);
}

const UPWARDS = new Set(["ArrowUp", "PageUp", "Home"]);

/** Whether the newest event is followed. Only what a person does changes it: wheel, touch, keys and
 * the scroll bar pause, arriving at the end goes on. */
function useFollowing(live: boolean, scroller: React.RefObject<HTMLDivElement | null>) {
  const [following, setFollowing] = useState(live);
  const byHand = useRef(false);
  const pause = () => {
    byHand.current = true;
    setFollowing(false);
  };
  const watch = {
    onWheel: (event: React.WheelEvent) => event.deltaY < 0 && pause(),
    onTouchMove: pause,
    onKeyDown: (event: React.KeyboardEvent) => UPWARDS.has(event.key) && pause(),
    onPointerDown: (event: React.PointerEvent) => {
      // On the scroller itself, not in a row: its scroll bar.
      if (event.target === scroller.current) {
        pause();
      }
    },
    onScroll: () => {
      const box = scroller.current;
      if (live && byHand.current && box) {
        if (box.scrollHeight - box.scrollTop - box.clientHeight < AT_END) {
          byHand.current = false;
          setFollowing(true);
        }
      }
    },
  };
  return { following, setFollowing, watch };
}
