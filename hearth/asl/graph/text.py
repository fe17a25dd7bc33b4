"""A graph for the terminal: one state a line, in the order in which they are met, and where each leads to."""

from __future__ import annotations

from collections.abc import Mapping

from hearth.asl.graph.model import Edge, Graph, Node, in_order

_SIGNS = {"SUCCEEDED": "✔", "FAILED": "✘", "RUNNING": "●"}
_ARROWS = {"choice": "?", "default": "?", "catch": "!", "next": " "}


def draw_text(graph: Graph, statuses: Mapping[str, str] | None = None) -> str:
    """statuses: how far each state of an execution has come, SUCCEEDED, FAILED or RUNNING."""
    return "\n".join(_lines(graph, statuses or {}))


def _lines(graph: Graph, statuses: Mapping[str, str]) -> list[str]:
    lines = []
    names = in_order(graph)
    width = max((len(name) for name in names), default=0)
    for name, following in zip(names, [*names[1:], None], strict=True):
        node = graph.nodes[name]
        sign = _SIGNS.get(statuses.get(name, ""), "▶" if name == graph.start else " ")
        note = f"  {node.note}" if node.note else ""
        lines.append(f"{sign} {name:<{width}}  {node.type}{note}{'  ■' if node.ends else ''}")
        lines += _inside(node, statuses)
        lines += _leads(graph.outgoing(name), following)
    return lines


def _inside(node: Node, statuses: Mapping[str, str]) -> list[str]:
    lines = []
    for number, inner in enumerate(node.inside, 1):
        title = "for each item" if node.type == "Map" else f"branch {number}"
        lines.append(f"  ├─ {title}")
        lines += [f"  │   {line}" for line in _lines(inner, statuses)]
    return lines


def _leads(edges: list[Edge], following: str | None) -> list[str]:
    """What can be read from the order of the lines is drawn as an arrow, everything else is named."""
    lines = []
    width = max((len(edge.label) for edge in edges), default=0)
    for edge in edges:
        if edge.kind == "next" and edge.target == following:
            continue
        label = f"{edge.label:<{width}} " if edge.label else ""
        lines.append(f"  {_ARROWS[edge.kind]} {label}→ {edge.target}")
    if any(edge.kind == "next" and edge.target == following for edge in edges):
        lines.append("  ↓")
    return lines
