import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { request, socketUrl } from "@/shared/api/client";
import type { RunSummary } from "@/shared/api/types";
import { useComeback } from "@/shared/hooks/use-reconnect";
import { FeedStream } from "@/stream/feed-stream";
import type { StreamState } from "@/stream/state";
import type { RunFilters } from "../search";
import { runsQuery } from "./list-runs";
import { type List, LiveList, onTop } from "./live-list";

export interface RunFeed {
  state: StreamState;
  /** New runs that wait for `release`, because showing them would move what is being read. */
  held: RunSummary[];
  release: () => void;
}

/** Keeps the list of runs that fit `filters` as the server has it. While `hold()` is true, new runs
 * wait. */
export function useRunFeed(filters: RunFilters, hold: () => boolean): RunFeed {
  const client = useQueryClient();
  const [state, setState] = useState<StreamState>("connecting");
  const [held, setHeld] = useState<RunSummary[]>([]);
  const [feed, setFeed] = useState<FeedStream<RunSummary> | null>(null);
  const holding = useRef(hold);
  holding.current = hold;
  const { status, workflow, q } = filters;

  useEffect(() => {
    const list = new LiveList({
      client,
      filters: { status, workflow, q },
      hold: () => holding.current(),
      setHeld,
    });
    const stream = new FeedStream<RunSummary>({
      url: () => socketUrl("/api/ws/", { workflow }),
      probe: () => request("/api/runs/", { query: { page_size: 1 } }),
      onReady: () => list.readAnew(),
      onRun: (run) => list.hear(run),
      onDeleted: (runId) => list.forget(runId),
      onState: setState,
    });
    stream.start();
    setFeed(stream);
    setHeld([]);
    return () => {
      stream.stop();
      list.stop();
    };
  }, [client, status, workflow, q]);

  useComeback(feed);
  const release = () => {
    if (held.length > 0) {
      setHeld([]);
      client.setQueryData<List>(runsQuery(filters).queryKey, (list) => list && onTop(list, held));
    }
  };
  return { state, held, release };
}
