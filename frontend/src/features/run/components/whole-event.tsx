import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { WholeFrame } from "@/shared/api/types";
import { Button } from "@/shared/ui/button";
import { JsonTree } from "@/shared/ui/json-tree";
import { ProblemNotice, Skeleton } from "@/shared/ui/notice";
import type { Frame } from "@/stream/frame";
import { checkpointIn, eventQuery } from "../api/run-queries";

/** What an event lacks whose data are too large to be sent, or were cut to a note: loaded when
 * somebody asks for it, as it may be many megabytes. */
export function WholeEvent({ frame }: { frame: Frame }) {
  const { run_id, seq } = frame;
  const [requested, setRequested] = useState(false);
  const query = useQuery({ ...eventQuery(run_id, seq), enabled: requested });
  const isCut = frame.data !== undefined;
  if (query.data) {
    return <Loaded whole={query.data} />;
  }
  return (
    <div className="mt-3 flex flex-col items-start gap-3 text-xs">
      <p className="text-dim">
        {isCut
          ? "The log has a note in place of this update, which was too long for it."
          : "The data of this event are too large to be sent with the others."}
      </p>
      {query.error && <ProblemNotice error={query.error} retry={() => query.refetch()} />}
      {query.isFetching ? (
        <Skeleton rows={1} className="h-4 w-40" />
      ) : (
        !query.error && (
          <Button onClick={() => setRequested(true)}>
            {isCut ? "Look for the state after it" : "Load the data"}
          </Button>
        )
      )}
    </div>
  );
}

function Loaded({ whole }: { whole: WholeFrame }) {
  const checkpoint = checkpointIn(whole.state_url);
  return (
    <div className="mt-3 text-xs">
      {checkpoint ? (
        <Link
          to="/runs/$runId"
          params={{ runId: whole.run_id }}
          search={{ tab: "state", checkpoint }}
          className="rounded font-medium text-accent hover:underline"
        >
          The state after this update
        </Link>
      ) : (
        <JsonTree value={whole.data} label={`Data of event ${whole.seq}`} />
      )}
    </div>
  );
}
