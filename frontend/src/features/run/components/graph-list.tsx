import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";
import type { Workflow } from "@/shared/api/types";
import type { RunStatus } from "@/stream/event-kinds";
import { type NodeProgress, nodeState } from "../model/node-progress";
import { caption, NODE_STYLES } from "./graph-node";
import { isEnd } from "./graph-shape";
import type { NotDrawn } from "./use-layout";

interface GraphListProps {
  graph: Workflow["graph"];
  /** Why the graph is not drawn. */
  notDrawn: NotDrawn;
  progress: ReadonlyMap<string, NodeProgress>;
  status: RunStatus;
  selected: string | undefined;
  onSelect: (node: string | undefined) => void;
}

const ROW_HEIGHT = 36;
const count = (n: number, word: string) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** The nodes of a graph that is not drawn, and how far they are. */
export function GraphList(props: GraphListProps) {
  const { graph, notDrawn, progress, status, selected, onSelect } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const nodes = graph.nodes.filter((node) => !isEnd(node));
  const rows = useVirtualizer({
    count: nodes.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 20,
  });
  return (
    <>
      <p
        data-testid="graph-not-drawn"
        className="border-b border-line px-4 py-2.5 text-xs text-dim"
      >
        Not drawn: {count(nodes.length, "node")} and {count(graph.edges.length, "edge")}{" "}
        {notDrawn === "size" ? "are more than a drawing can show." : "took too long to lay out."}{" "}
        These are the nodes.
      </p>
      <section ref={scroller} aria-label="Nodes" className="min-h-0 flex-1 overflow-y-auto">
        <ol className="relative w-full" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map(({ index, start }) => {
            const node = nodes[index] as (typeof nodes)[number];
            const state = nodeState(progress.get(node.id), status);
            const { icon: Icon, color } = NODE_STYLES[state];
            return (
              <li
                key={node.id}
                aria-setsize={nodes.length}
                aria-posinset={index + 1}
                className="absolute inset-x-0 top-0 border-b border-line/60"
                style={{ transform: `translateY(${start}px)` }}
              >
                <button
                  type="button"
                  data-testid={`node-${node.id}`}
                  data-state={state}
                  aria-pressed={node.id === selected}
                  onClick={() => onSelect(node.id === selected ? undefined : node.id)}
                  className="flex h-9 w-full items-center gap-2.5 px-4 text-left text-xs outline-offset-[-2px] hover:bg-raised aria-pressed:bg-raised"
                >
                  <Icon aria-hidden className={`size-3.5 shrink-0 ${color}`} />
                  <bdi className="min-w-0 flex-1 truncate font-mono">{node.label}</bdi>
                  <span className={`shrink-0 text-2xs ${color}`}>
                    {caption(state, progress.get(node.id), status)}
                  </span>
                </button>
              </li>
            );
          })}
        </ol>
      </section>
    </>
  );
}
