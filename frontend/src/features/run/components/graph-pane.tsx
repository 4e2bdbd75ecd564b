import "@xyflow/react/dist/style.css";
import { useQuery } from "@tanstack/react-query";
import { Background, Controls, MarkerType, ReactFlow } from "@xyflow/react";
import { memo, useMemo } from "react";
import { workflowQuery } from "@/shared/api/queries";
import { Empty, ProblemNotice } from "@/shared/ui/notice";
import { type NodeProgress, nodeState } from "../api/progress";
import { type DrawnEdge, DrawnEdgeView } from "./graph-edge";
import { type GraphLayout, isEnd, layoutOf } from "./graph-layout";
import { type StepNode, StepNodeView } from "./graph-node";

interface GraphPaneProps {
  workflow: string;
  nodes: ReadonlyMap<string, NodeProgress>;
  /** Whether the run is finished: what waits then never ran. */
  over: boolean;
  selected: string | undefined;
  onSelect: (node: string | undefined) => void;
}

const NODE_TYPES = { step: StepNodeView };
const EDGE_TYPES = { drawn: DrawnEdgeView };
const FIT = { padding: 0.12, maxZoom: 1 };

/** The workflow's graph; its nodes light up as they run. */
export default memo(function GraphPane({
  workflow,
  nodes,
  over,
  selected,
  onSelect,
}: GraphPaneProps) {
  const { data, error, refetch } = useQuery(workflowQuery(workflow));
  const layout = useMemo(() => data && layoutOf(data.graph), [data]);
  const shown = useMemo(
    () =>
      layout && { nodes: nodesOf(layout, nodes, selected, over), edges: edgesOf(layout, nodes) },
    [layout, nodes, selected, over],
  );
  if (error && !data) {
    return (
      <div className="p-4">
        <ProblemNotice error={error} retry={() => refetch()} />
      </div>
    );
  }
  if (!shown) {
    return null;
  }
  if (shown.nodes.length === 0) {
    return <Empty title="This graph has no nodes" />;
  }
  return (
    <div className="min-h-0 flex-1">
      <ReactFlow
        nodes={shown.nodes}
        edges={shown.edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        fitView
        fitViewOptions={FIT}
        minZoom={0.1}
        maxZoom={2}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        preventScrolling={false}
        zoomOnScroll={false}
        colorMode="dark"
        onNodeClick={(_, node) => onSelect(node.id === selected ? undefined : node.id)}
        onPaneClick={() => selected && onSelect(undefined)}
        onNodesChange={(changes) => {
          // The keyboard's way to choose: Enter on a focused node selects it.
          const chosen = changes.find((change) => change.type === "select" && change.selected);
          if (chosen?.type === "select" && chosen.id !== selected) {
            onSelect(chosen.id);
          }
        }}
      >
        <Background gap={22} size={1} />
        <Controls showInteractive={false} fitViewOptions={FIT} />
      </ReactFlow>
    </div>
  );
});

function nodesOf(
  layout: GraphLayout,
  progress: ReadonlyMap<string, NodeProgress>,
  selected: string | undefined,
  over: boolean,
): StepNode[] {
  return layout.nodes.map(({ node, x, y, width, height }) => {
    const state = nodeState(progress.get(node.id));
    const end = isEnd(node);
    return {
      id: node.id,
      type: "step",
      position: { x, y },
      width,
      height,
      selected: node.id === selected,
      selectable: !end,
      focusable: !end,
      ariaLabel: `${node.label}: ${state}`,
      data: {
        label: end ? node.id.replaceAll("_", "") : node.label,
        state,
        progress: progress.get(node.id),
        end,
        over,
      },
    };
  });
}

/** An edge is bright once both its ends were reached. */
function edgesOf(layout: GraphLayout, progress: ReadonlyMap<string, NodeProgress>): DrawnEdge[] {
  const reached = (id: string) => nodeState(progress.get(id)) !== "waiting";
  return layout.edges.map(({ id, source, target, conditional, label, points }) => {
    const taken = reached(source) && reached(target);
    const color = taken ? "var(--color-dim)" : "var(--color-line-strong)";
    return {
      id,
      source,
      target,
      type: "drawn",
      data: { points },
      ...(label ? { label } : {}),
      markerEnd: { type: MarkerType.ArrowClosed, color, width: 14, height: 14 },
      style: {
        stroke: color,
        strokeWidth: 1.5,
        ...(conditional ? { strokeDasharray: "5 5" } : {}),
      },
    };
  });
}
