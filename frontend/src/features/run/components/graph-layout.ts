import { Graph, layout } from "@dagrejs/dagre";
import type { GraphNode, Workflow } from "@/shared/api/types";
import { type GraphLayout, isEnd, type Point } from "./graph-shape";

const LETTER = 7.4;
const LONGEST_LABEL = 260;

/** Where each node of a workflow goes, top to bottom in layers, and how the edges run between. */
export function layoutOf({ nodes, edges }: Workflow["graph"]): GraphLayout {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 44 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) {
    graph.setNode(node.id, sizeOf(node));
  }
  edges.forEach((edge, index) => {
    graph.setEdge(edge.source, edge.target, labelSize(edge.label), String(index));
  });
  layout(graph);
  return {
    nodes: nodes.map((node) => {
      const at = graph.node(node.id) as { x?: number; y?: number };
      const size = sizeOf(node);
      return { node, ...size, x: (at.x ?? 0) - size.width / 2, y: (at.y ?? 0) - size.height / 2 };
    }),
    edges: edges.map((edge, index) => {
      const at = graph.edge(edge.source, edge.target, String(index)) as { points?: Point[] };
      const self = edge.source === edge.target && graph.node(edge.source);
      return { ...edge, id: String(index), points: self ? loopBeside(self) : (at.points ?? []) };
    }),
  };
}

/** From the right side of a node back to it. */
function loopBeside(node: { x?: number; y?: number; width?: number }): Point[] {
  const right = (node.x ?? 0) + (node.width ?? 0) / 2;
  const middle = node.y ?? 0;
  return [
    { x: right, y: middle + 14 },
    { x: right + 52, y: middle + 18 },
    { x: right + 52, y: middle - 18 },
    { x: right + 2, y: middle - 14 },
  ];
}

function labelSize(label: string | null | undefined): { width: number; height: number } {
  return label
    ? { width: Math.min(LONGEST_LABEL, label.length * LETTER), height: 16 }
    : { width: 0, height: 0 };
}

function sizeOf(node: GraphNode): { width: number; height: number } {
  return isEnd(node)
    ? { width: 76, height: 32 }
    : {
        width: Math.max(132, Math.min(LONGEST_LABEL, node.label.length * LETTER + 62)),
        height: 54,
      };
}
