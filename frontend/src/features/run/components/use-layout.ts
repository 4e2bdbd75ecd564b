import { useEffect, useState } from "react";
import type { Workflow } from "@/shared/api/types";
import { loadLater, serverAnswers } from "@/shared/later";
import { type GraphLayout, isDrawable } from "./graph-shape";

type Graph = Workflow["graph"];

/** - `size`: the graph is too large to be drawn
 * - `time`: it was not drawn in time, or not at all */
export type NotDrawn = "size" | "time";

/** How the making of a layout ended. */
interface End {
  layout?: GraphLayout;
  notDrawn?: NotDrawn;
}

const PATIENCE_MS = 10_000;

/** The layout of `graph`, made in another thread so that the page goes on meanwhile. Neither a
 * layout nor a reason while it is being made. */
export function useLayout(graph: Graph | undefined): End {
  const [made, setMade] = useState<(End & { graph: Graph }) | null>(null);
  useEffect(() => {
    if (!graph) {
      return;
    }
    if (!isDrawable(graph)) {
      setMade({ graph, notDrawn: "size" });
      return;
    }
    const abandoned = new AbortController();
    makeLayout(graph, abandoned.signal).then((end) => {
      if (!abandoned.signal.aborted) {
        setMade({ graph, ...end });
      }
    });
    return () => abandoned.abort();
  }, [graph]);
  return made?.graph === graph && made ? made : {};
}

async function makeLayout(graph: Graph, abandoned: AbortSignal): Promise<End> {
  const first = await inWorker(graph, abandoned);
  if (first || abandoned.aborted) {
    return first ?? {};
  }
  await serverAnswers();
  return (await inWorker(graph, abandoned)) ?? inPage(graph);
}

/** What a worker makes of `graph`. Null if it could not be started, as while the server that has
 * its script is away, or if the layout was abandoned. */
function inWorker(graph: Graph, abandoned: AbortSignal): Promise<End | null> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL("./layout-worker.ts", import.meta.url), { type: "module" });
    const end = (made: End | null) => {
      clearTimeout(timer);
      worker.terminate();
      resolve(made);
    };
    const timer = setTimeout(() => end({ notDrawn: "time" }), PATIENCE_MS);
    worker.onmessage = ({ data }: MessageEvent<GraphLayout>) => end({ layout: data });
    worker.onerror = () => end(null);
    abandoned.addEventListener("abort", () => end(null));
    worker.postMessage(graph);
  });
}

/** What takes no time may be laid out in the page's own thread, where no worker can be started. */
const SMALL = 40;

async function inPage(graph: Graph): Promise<End> {
  if (graph.edges.length > SMALL) {
    return { notDrawn: "time" };
  }
  try {
    const { layoutOf } = await loadLater(() => import("./graph-layout"));
    return { layout: layoutOf(graph) };
  } catch {
    return { notDrawn: "time" };
  }
}
