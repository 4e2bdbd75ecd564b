import { Graph, layout } from "@dagrejs/dagre";
import type { GraphEdge, GraphNode, Workflow } from "@/shared/api/types";

export interface Placed {
  node: GraphNode;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface GraphLayout {
  nodes: Placed[];
  edges: (GraphEdge & { id: string })[];
}

const LETTER = 7.4;

/** Where each node of a workflow goes: top to bottom, in layers. */
export function layoutOf({ nodes, edges }: Workflow["graph"]): GraphLayout {
  const graph = new Graph();
  graph.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 44 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) {
    graph.setNode(node.id, sizeOf(node));
  }
  for (const edge of edges) {
    graph.setEdge(edge.source, edge.target);
  }
  layout(graph);
  return {
    nodes: nodes.map((node) => {
      const at = graph.node(node.id) as { x?: number; y?: number };
      const size = sizeOf(node);
      return { node, ...size, x: (at.x ?? 0) - size.width / 2, y: (at.y ?? 0) - size.height / 2 };
    }),
    edges: edges.map((edge, index) => ({ ...edge, id: `${edge.source}→${edge.target}#${index}` })),
  };
}

export function isEnd(node: GraphNode): boolean {
  return node.id === "__start__" || node.id === "__end__";
}

function sizeOf(node: GraphNode): { width: number; height: number } {
  return isEnd(node)
    ? { width: 76, height: 32 }
    : { width: Math.max(132, Math.min(260, node.label.length * LETTER + 62)), height: 54 };
}
