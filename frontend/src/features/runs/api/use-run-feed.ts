import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { request, socketUrl } from "@/shared/api/client";
import type { RunSummary } from "@/shared/api/types";
import { useReconnect } from "@/shared/hooks/use-reconnect";
import { FeedStream } from "@/stream/feed-stream";
import type { StreamState } from "@/stream/state";
import type { RunFilters } from "../search";
import { runsQuery } from "./list-runs";
import { type List, LiveList, onTop } from "./live-list";

export interface RunFeed {
  state: StreamState;
  /** New runs that wait for `release`, because showing them would move what is being read. */
  waiting: RunSummary[];
  release: () => void;
}

/** Keeps the list of runs that fit `filters` as the server has it. While `hold()` is true, new runs
 * wait. */
export function useRunFeed(filters: RunFilters, hold: () => boolean): RunFeed {
  const client = useQueryClient();
  const [state, setState] = useState<StreamState>("connecting");
  const [waiting, setWaiting] = useState<RunSummary[]>([]);
  const [feed, setFeed] = useState<FeedStream<RunSummary> | null>(null);
  const holding = useRef(hold);
  holding.current = hold;
  const { status, workflow, q } = filters;

  useEffect(() => {
    const list = new LiveList({
      client,
      filters: { status, workflow, q },
      hold: () => holding.current(),
      setWaiting,
    });
    const stream = new FeedStream<RunSummary>({
      url: () => socketUrl("/api/ws/", { workflow }),
      probe: () => request("/api/runs/", { query: { page_size: 1 } }),
      onReady: () => list.readAnew(),
      onRun: (run) => list.add(run),
      onDeleted: (runId) => list.remove(runId),
      onState: setState,
    });
    stream.start();
    setFeed(stream);
    setWaiting([]);
    return () => {
      stream.stop();
      list.stop();
    };
  }, [client, status, workflow, q]);

  useReconnect(feed);
  const release = () => {
    if (waiting.length > 0) {
      setWaiting([]);
      client.setQueryData<List>(
        runsQuery(filters).queryKey,
        (list) => list && onTop(list, waiting),
      );
    }
  };
  return { state, waiting, release };
}
