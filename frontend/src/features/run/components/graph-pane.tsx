import { useQuery } from "@tanstack/react-query";
import { Background, Controls, MarkerType, ReactFlow } from "@xyflow/react";
import { memo, useMemo, useRef } from "react";
import { workflowQuery } from "@/shared/api/queries";
import { Empty, ProblemNotice } from "@/shared/ui/notice";
import type { RunStatus } from "@/stream/event-kinds";
import { type NodeProgress, nodeState, routeOf } from "../model/node-progress";
import { type DrawnEdge, DrawnEdgeView } from "./graph-edge";
import { FIT, KeepFitted } from "./graph-fit";
import { GraphList } from "./graph-list";
import { type StepNode, StepNodeView } from "./graph-node";
import { type GraphLayout, isEnd } from "./graph-shape";
import { useLayout } from "./use-layout";

interface GraphPaneProps {
  workflow: string;
  nodes: ReadonlyMap<string, NodeProgress>;
  /** The ways that were taken; grows in place, and with it `nodes` is another one. */
  routes: ReadonlySet<string>;
  status: RunStatus;
  selected: string | undefined;
  onSelect: (node: string | undefined) => void;
}

const NODE_TYPES = { step: StepNodeView };
const EDGE_TYPES = { drawn: DrawnEdgeView };

/** The workflow's graph; its nodes light up as they run. */
export default memo(function GraphPane({
  workflow,
  nodes,
  routes,
  status,
  selected,
  onSelect,
}: GraphPaneProps) {
  const { data, error, refetch } = useQuery(workflowQuery(workflow));
  const { layout, notDrawn } = useLayout(data?.graph);
  const moved = useRef(false);
  const shown = useMemo(
    () =>
      layout && {
        nodes: nodesOf(layout, nodes, selected, status),
        edges: edgesOf(layout, nodes, routes),
      },
    [layout, nodes, routes, selected, status],
  );
  if (error && !data) {
    return (
      <div className="p-4">
        <ProblemNotice error={error} retry={() => refetch()} />
      </div>
    );
  }
  if (data && notDrawn) {
    return (
      <GraphList
        graph={data.graph}
        notDrawn={notDrawn}
        progress={nodes}
        status={status}
        selected={selected}
        onSelect={onSelect}
      />
    );
  }
  if (!shown) {
    return (
      <p role="status" className="p-4 text-xs text-faint">
        Drawing the graph…
      </p>
    );
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
        onMoveStart={(event) => {
          moved.current ||= event !== null; // without an event it was fitted
        }}
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
        <Controls
          showInteractive={false}
          fitViewOptions={FIT}
          onZoomIn={() => {
            moved.current = true;
          }}
          onZoomOut={() => {
            moved.current = true;
          }}
          onFitView={() => {
            moved.current = false;
          }}
        />
        <KeepFitted moved={moved} />
      </ReactFlow>
    </div>
  );
});

function nodesOf(
  layout: GraphLayout,
  progress: ReadonlyMap<string, NodeProgress>,
  selected: string | undefined,
  status: RunStatus,
): StepNode[] {
  return layout.nodes.map(({ node, x, y, width, height }) => {
    const state = nodeState(progress.get(node.id), status);
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
        status,
      },
    };
  });
}

/** An edge is bright once both its ends were reached; one that a router chooses, once it was taken. */
function edgesOf(
  layout: GraphLayout,
  progress: ReadonlyMap<string, NodeProgress>,
  routes: ReadonlySet<string>,
): DrawnEdge[] {
  const reached = (id: string) => nodeState(progress.get(id)) !== "waiting";
  return layout.edges.map(({ id, source, target, conditional, label, points }) => {
    const taken = conditional
      ? routes.has(routeOf(source, target))
      : reached(source) && reached(target);
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
