import type { GraphEdge, GraphNode, Workflow } from "@/shared/api/types";

export interface Point {
  x: number;
  y: number;
}

export interface Placed {
  node: GraphNode;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Drawn extends GraphEdge {
  id: string;
  /** Where it runs along, from border to border. */
  points: Point[];
}

export interface GraphLayout {
  nodes: Placed[];
  edges: Drawn[];
}

/** More than this nobody can read, and each costs the page at every event. */
const MOST_NODES = 200;
const MOST_EDGES = 400;

/** Whether a graph is small enough to be drawn. */
export function isDrawable({ nodes, edges }: Workflow["graph"]): boolean {
  return nodes.length <= MOST_NODES && edges.length <= MOST_EDGES;
}

/** Whether a node is no node, but where the graph begins or ends. */
export function isEnd(node: GraphNode): boolean {
  return node.id === "__start__" || node.id === "__end__";
}
