import { expect, test } from "vitest";
import { pathThrough } from "./graph-edge";
import { layoutOf } from "./graph-layout";
import { isDrawable } from "./graph-shape";

const node = (id: string) => ({ id, label: id, kind: "node" });
const edge = (source: string, target: string, conditional = false) => ({
  source,
  target,
  conditional,
});

test("nodes lie in layers, and none on another", () => {
  const { nodes } = layoutOf({
    nodes: ["__start__", "a", "b", "c", "__end__"].map(node),
    edges: [
      edge("__start__", "a"),
      edge("__start__", "b"),
      edge("a", "c"),
      edge("b", "c"),
      edge("c", "__end__"),
    ],
  });
  const at = Object.fromEntries(nodes.map((placed) => [placed.node.id, placed]));
  expect(at.a?.y).toBe(at.b?.y);
  expect((at.a?.y ?? 0) + (at.a?.height ?? 0)).toBeLessThan(at.c?.y ?? 0);
  const [left, right] = [at.a, at.b].sort((a, b) => (a?.x ?? 0) - (b?.x ?? 0));
  expect((left?.x ?? 0) + (left?.width ?? 0)).toBeLessThan(right?.x ?? 0);
});

test("every edge has a way: two between the same nodes, one to itself, one back", () => {
  const { edges } = layoutOf({
    nodes: ["a", "b"].map(node),
    edges: [edge("a", "b"), edge("a", "b", true), edge("a", "a"), edge("b", "a")],
  });
  expect(new Set(edges.map(({ id }) => id)).size).toBe(4);
  for (const { points } of edges) {
    expect(pathThrough(points)).toMatch(/^M[-\d.]+,[-\d.]+[LQ]/);
  }
});

test("a graph that a drawing cannot show is not laid out at all", () => {
  const ids = (count: number) => Array.from({ length: count }, (_, n) => `n${n}`);
  const full = (count: number) => ({
    nodes: ids(count).map(node),
    edges: ids(count).flatMap((a) => ids(count).map((b) => edge(a, b, true))),
  });
  expect(isDrawable(full(10))).toBe(true);
  expect(isDrawable(full(40))).toBe(false);
  expect(isDrawable({ nodes: ids(5000).map(node), edges: [] })).toBe(false);
});

test("a label of any length takes no more room than a long one", () => {
  const wide = (label: string) =>
    layoutOf({
      nodes: [node("a"), node("b")],
      edges: [{ ...edge("a", "b", true), label }],
    }).nodes.map(({ x }) => x);
  expect(wide("x".repeat(10_000))).toEqual(wide("x".repeat(100)));
});
