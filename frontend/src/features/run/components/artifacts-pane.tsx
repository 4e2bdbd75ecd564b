import { useInfiniteQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import type { Artifact } from "@/shared/api/types";
import { bytes } from "@/shared/format/bytes";
import { Empty, ProblemNotice } from "@/shared/ui/notice";
import { Panel } from "@/shared/ui/panel";
import { artifactsQuery } from "../api/run-queries";
import { useRefresh } from "../api/use-refresh";
import { allArtifacts } from "../model/event-log";

interface ArtifactsPaneProps {
  runId: string;
  /** The artifacts of events; they are here before REST is asked again. */
  fromEvents: readonly Artifact[];
  live: boolean;
  className: string;
}

/** What the run made, to download. */
export function ArtifactsPane({ runId, fromEvents, live, className }: ArtifactsPaneProps) {
  const query = useInfiniteQuery(artifactsQuery(runId));
  useRefresh(runId, "artifacts", fromEvents.length);
  const listed = query.data?.pages.flatMap((page) => page.results) ?? [];
  const all = allArtifacts(listed, fromEvents);
  return (
    <Panel
      title="Artifacts"
      className={className}
      aside={<span className="text-xs text-faint tabular-nums">{all.length || ""}</span>}
    >
      <div className="min-h-0 flex-1 overflow-y-auto">
        {query.error && all.length === 0 && (
          <div className="p-3">
            <ProblemNotice error={query.error} retry={() => query.refetch()} />
          </div>
        )}
        {all.length === 0 && !query.error && (
          <Empty title={live ? "No artifacts yet" : "No artifacts"} />
        )}
        <ul>
          {all.map((artifact) => (
            <Item key={artifact.id} artifact={artifact} />
          ))}
        </ul>
        {query.hasNextPage && (
          <button
            type="button"
            className="w-full p-2 text-accent hover:bg-hover"
            onClick={() => query.fetchNextPage()}
          >
            Load more
          </button>
        )}
      </div>
    </Panel>
  );
}

function Item({ artifact }: { artifact: Artifact }) {
  const { name, media_type, size, node, sha256 } = artifact;
  return (
    <li className="border-b border-line last:border-b-0">
      <a
        href={`/api/artifacts/${artifact.id}`}
        download={name}
        data-testid="artifact-link"
        title={sha256 && `SHA-256 ${sha256}`}
        className="group flex items-center gap-3 px-4 py-2.5 outline-offset-[-2px] hover:bg-raised"
      >
        <span className="min-w-0 flex-1">
          <bdi className="block truncate text-left font-mono text-xs text-ink">{name}</bdi>
          <span className="block truncate text-2xs text-faint">
            {media_type}
            {node && ` · by ${node}`}
          </span>
        </span>
        <span className="shrink-0 text-xs text-dim tabular-nums">{bytes(size)}</span>
        <Download aria-hidden className="size-4 shrink-0 text-faint group-hover:text-accent" />
      </a>
    </li>
  );
}
