"""A graph as data and as Mermaid text, for people to look at."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from runs.engine.graph.graph import Branch, Graph
from runs.engine.names import as_text
from runs.engine.types import END, START


class DrawnNode(TypedDict):
    id: str
    label: str
    kind: str


class DrawnEdge(TypedDict):
    source: str
    target: str
    conditional: bool
    label: str | None


class Drawing(TypedDict):
    nodes: list[DrawnNode]
    edges: list[DrawnEdge]
    subgraphs: NotRequired[dict[str, Drawing]]


def to_json(graph: Graph) -> Drawing:
    """Nodes (kind `start`, `node` or `end`) and edges. A router without a path map may go
    anywhere, and so has an edge to every node. `subgraphs` holds the drawings of nodes that are
    graphs, by name; it is left out when there are none."""
    edges = [_edge(a, b) for a, targets in graph.edges.items() for b in targets]
    edges += [_edge(a, target) for sources, target in graph.joins for a in sources]
    for source, branches in graph.branches.items():
        for branch in branches:
            edges += [
                _edge(source, target, conditional=True, label=label)
                for target, label in _ends(graph, branch).items()
            ]
    for name, node in graph.nodes.items():
        edges += [
            _edge(name, target, conditional=True, label=None if label is None else _label(label))
            for target, label in node.destinations.items()
        ]
    nodes = [_node(START, "start")] + [_node(name, "node") for name in graph.nodes]
    if any(edge["target"] == END for edge in edges):
        nodes.append(_node(END, "end"))
    drawn: Drawing = {"nodes": nodes, "edges": edges}
    inner = {name: to_json(node.subgraph) for name, node in graph.nodes.items() if node.subgraph}
    if inner:
        drawn["subgraphs"] = inner
    return drawn


def to_mermaid(graph: Graph) -> str:
    """A Mermaid flowchart; conditional edges are dotted, graphs in nodes are drawn inside them.
    Names are quoted, so that any name of a node is safe to render."""
    return "\n".join(["flowchart TD", *_lines(to_json(graph), "n", "    ")]) + "\n"


def _lines(drawing: Drawing, prefix: str, indent: str) -> list[str]:
    number = {node["id"]: f"{prefix}{i}" for i, node in enumerate(drawing["nodes"])}
    inner = drawing.get("subgraphs", {})
    lines = []
    for node in drawing["nodes"]:
        key, label = number[node["id"]], _quoted(node["label"])
        if node["id"] in inner:
            lines.append(f'{indent}subgraph {key}["{label}"]')
            lines += _lines(inner[node["id"]], f"{key}_", indent + "    ")
            lines.append(f"{indent}end")
        else:
            shape = '["{}"]' if node["kind"] == "node" else '(["{}"])'
            lines.append(f"{indent}{key}{shape.format(label)}")
    for edge in drawing["edges"]:
        arrow = "-.->" if edge["conditional"] else "-->"
        said = f'|"{_quoted(edge["label"])}"|' if edge["label"] else ""
        lines.append(f"{indent}{number[edge['source']]} {arrow}{said} {number[edge['target']]}")
    return lines


def _ends(graph: Graph, branch: Branch) -> dict[str, str | None]:
    if branch.path_map is None:
        return dict.fromkeys([*graph.nodes, END])
    ends = {
        target: None if (label := _label(key)) == target else label
        for key, target in branch.path_map.items()
    }
    return {END: None, **ends} if branch.none_ends else ends


def _label(given: object) -> str:
    """`given` as text that every client can be shown."""
    text = as_text(given) if isinstance(given, str) else str(given)
    return text.encode("utf-8", "replace").decode()


def _node(name: str, kind: str) -> DrawnNode:
    return {"id": name, "label": name.strip("_") if kind != "node" else name, "kind": kind}


def _edge(
    source: str, target: str, *, conditional: bool = False, label: str | None = None
) -> DrawnEdge:
    return {"source": source, "target": target, "conditional": conditional, "label": label}


def _quoted(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return escaped.replace("\n", " ")
