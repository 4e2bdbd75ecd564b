import type { StreamEnd, StreamState } from "@/stream/state";

type PillStyle = { word: string; dot: string; explains: string };

const STYLES: Record<StreamState | StreamEnd, PillStyle> = {
  connecting: {
    word: "connecting",
    dot: "bg-warn animate-breathe",
    explains: "The first connection is being made.",
  },
  "catching-up": {
    word: "catching up",
    dot: "bg-warn animate-breathe",
    explains: "Connected; some of what happened is still on its way.",
  },
  live: { word: "connected", dot: "bg-good", explains: "What you see is how it is." },
  offline: {
    word: "disconnected",
    dot: "bg-bad",
    explains: "What you see may be old. The connection is tried again by itself.",
  },
  ended: { word: "ended", dot: "bg-faint", explains: "The run is over and all of it is here." },
  unknown: { word: "not found", dot: "bg-bad", explains: "The server does not know this run." },
  refused: { word: "not found", dot: "bg-bad", explains: "This is not the address of a run." },
};

interface PillProps {
  state: StreamState;
  /** Why nothing more will come, if that is so. */
  end?: StreamEnd | null;
  seq?: number;
}

/** How fresh the page is, in a word; never more confident than its stream. */
export function ConnectionPill({ state, end, seq }: PillProps) {
  const { word, dot, explains } = STYLES[end ?? state];
  return (
    <span
      title={explains}
      className="inline-flex h-7 items-center gap-2 rounded-full border border-line bg-panel pr-2.5 pl-3 text-xs text-dim"
    >
      <span aria-hidden className={`size-2 rounded-full ${dot}`} />
      <span
        role="status"
        data-testid="connection-pill"
        data-state={state}
        className="whitespace-nowrap"
      >
        {word}
      </span>
      {seq !== undefined && (
        <span className="min-w-8 border-l border-line pl-2 font-mono text-2xs text-faint tabular-nums">
          <span className="sr-only">newest event </span>#{seq}
        </span>
      )}
    </span>
  );
}
