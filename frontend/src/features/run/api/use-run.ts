import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState, useSyncExternalStore } from "react";
import { socketUrl } from "@/shared/api/client";
import { keys, runQuery } from "@/shared/api/queries";
import type { RunSummary } from "@/shared/api/types";
import { useReconnect } from "@/shared/hooks/use-reconnect";
import { FeedStream } from "@/stream/feed-stream";
import { RunStream } from "@/stream/run-stream";
import type { StreamEnd, StreamState } from "@/stream/state";
import { EventLog, withNews } from "../model/event-log";
import { useRefresh } from "./use-refresh";

/** A run from three sources: the answer of REST, the events after it, and the feed for changes that
 * have no event (the run was answered, put back into the queue, or is to be cancelled). Everything that the
 * page shows comes from here. After a lost connection every answer of REST is read again. */
export function useRun(runId: string) {
  const client = useQueryClient();
  const [connection, setConnection] = useState<StreamState>("connecting");
  const [end, setEnd] = useState<StreamEnd | null>(null);
  const [stream, setStream] = useState<RunStream | null>(null);
  const [log, setLog] = useState(() => new EventLog());
  const query = useQuery(runQuery(runId));

  useEffect(() => {
    const collected = new EventLog();
    let lost = false;
    const following = new RunStream({
      url: (after) => socketUrl(`/api/ws/${runId}`, { after }),
      head: async () => (await client.fetchQuery({ ...runQuery(runId), staleTime: 0 })).seq,
      onFrame: (frame) => collected.push(frame),
      onState: (state) => {
        setConnection(state);
        if (lost && state === "catching-up") {
          client.invalidateQueries({ queryKey: keys.run(runId) });
        }
        lost = state === "offline";
      },
      onEnd: (why) => {
        setEnd(why);
        client.invalidateQueries({ queryKey: keys.run(runId) });
      },
    });
    setEnd(null);
    setLog(collected);
    setStream(following);
    following.start();
    return () => following.stop();
  }, [client, runId]);

  useReconnect(stream);
  const snapshot = useSyncExternalStore(log.subscribe, log.snapshot);
  useRefresh(runId, "detail", snapshot.changes);
  useNews(runId, query.data?.thread, end !== null);
  return { query, connection, end, log: snapshot };
}

/** Merges the feed's changes of a run into the answer of REST, until the run has ended. */
function useNews(runId: string, thread: string | undefined, ended: boolean): void {
  const client = useQueryClient();
  const [feed, setFeed] = useState<FeedStream<RunSummary> | null>(null);
  useEffect(() => {
    if (thread === undefined || ended) {
      return;
    }
    const { queryKey } = runQuery(runId);
    const readAgain = () => client.invalidateQueries({ queryKey });
    const following = new FeedStream<RunSummary>({
      url: () => socketUrl("/api/ws/", { thread }),
      probe: () => client.fetchQuery({ ...runQuery(runId), staleTime: 0 }),
      onReady: readAgain,
      onRun: (news) => {
        const known = client.getQueryData(queryKey);
        if (news.id !== runId || !known) {
          return;
        }
        client.setQueryData(queryKey, withNews(known, news));
        if (news.step === known.step) {
          readAgain(); // more changed than its step: who paused it, or cancels it, is no news
        }
      },
      onDeleted: (deleted) => deleted === runId && readAgain(),
      onState: () => {},
    });
    setFeed(following);
    following.start();
    return () => following.stop();
  }, [client, runId, thread, ended]);
  useReconnect(feed);
}
