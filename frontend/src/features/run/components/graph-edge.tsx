import { BaseEdge, type Edge, type EdgeProps } from "@xyflow/react";
import type { ReactNode } from "react";
import type { Point } from "./graph-shape";

export type DrawnEdge = Edge<{ points: Point[] }, "drawn">;

/** An edge along the way that the layout found for it, around nodes and back to itself. */
export function DrawnEdgeView({ id, data, label, style, markerEnd }: EdgeProps<DrawnEdge>) {
  const points = data?.points ?? [];
  const middle = points[Math.floor(points.length / 2)];
  return (
    <BaseEdge
      id={id}
      path={pathThrough(points)}
      {...(label && middle ? { label: shortened(label), labelX: middle.x, labelY: middle.y } : {})}
      {...(style ? { style } : {})}
      {...(markerEnd ? { markerEnd } : {})}
    />
  );
}

/** A line that bends at each point instead of breaking there. */
export function pathThrough(points: readonly Point[]): string {
  const [first, ...rest] = points;
  const last = points.at(-1);
  if (!first || !last || rest.length === 0) {
    return "";
  }
  const bends = rest.slice(0, -1).map((point, index) => {
    const next = rest[index + 1] as Point;
    const isLast = index === rest.length - 2;
    const end = isLast ? last : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    return `Q${at(point)} ${at(end)}`;
  });
  return bends.length === 0 ? `M${at(first)}L${at(last)}` : `M${at(first)}${bends.join("")}`;
}

function at({ x, y }: Point): string {
  return `${x},${y}`;
}

const LONGEST_LABEL = 34;

function shortened(label: ReactNode): ReactNode {
  const long = typeof label === "string" && label.length > LONGEST_LABEL;
  return long ? `${label.slice(0, LONGEST_LABEL - 1)}…` : label;
}
