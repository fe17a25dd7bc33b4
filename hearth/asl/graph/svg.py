"""A graph as an SVG picture that stands alone: no script, no outside font; light and dark backgrounds both work."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import pairwise

from hearth.asl.graph.layout import NODE_HEIGHT, Box, Drawing, Line, lay_out
from hearth.asl.graph.model import Graph

_MARGIN = 24.0
_FILLS = {
    "Task": "#dbeafe",
    "Choice": "#fef3c7",
    "Wait": "#ede9fe",
    "Pass": "#f3f4f6",
    "Succeed": "#dcfce7",
    "Fail": "#fee2e2",
    "Map": "#f0fdfa",
    "Parallel": "#f0f9ff",
}
_STROKES = {"SUCCEEDED": "#16a34a", "FAILED": "#dc2626", "RUNNING": "#2563eb"}
_STYLE = (
    "text{font-family:ui-monospace,Menlo,Consolas,monospace;fill:#111827}"
    ".name{font-size:13px;font-weight:600}.note{font-size:11px;fill:#4b5563}"
    ".label{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}"
    ".edge{fill:none;stroke:#6b7280;stroke-width:1.4}.catch{stroke:#dc2626;stroke-dasharray:5 4}"
    ".default{stroke-dasharray:2 3}"
)


def draw_svg(graph: Graph, statuses: Mapping[str, str] | None = None) -> str:
    """statuses: how far each state of an execution has come, SUCCEEDED, FAILED or RUNNING."""
    drawing = lay_out(graph)
    width, height = drawing.width + 2 * _MARGIN, drawing.height + 2 * _MARGIN
    body = _drawing(drawing, _MARGIN, _MARGIN, statuses or {})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">\n<style>{_STYLE}</style>\n'
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}</svg>\n'
    )


def _drawing(drawing: Drawing, x: float, y: float, statuses: Mapping[str, str]) -> str:
    # lines first, so that boxes cover what runs behind them; labels last
    lines = "".join(_line(line, x, y) for line in drawing.lines)
    boxes = "".join(_box(box, x, y, statuses) for box in drawing.boxes)
    labels = "".join(_label(line, x, y) for line in drawing.lines if line.edge.label)
    return lines + boxes + labels


def _box(box: Box, x: float, y: float, statuses: Mapping[str, str]) -> str:
    node = box.node
    assert node is not None
    left, top = x + box.x, y + box.y
    status = statuses.get(node.name, "")
    stroke, thick = _STROKES.get(status, "#9ca3af"), "2.5" if status else "1.2"
    middle = left + box.width / 2
    note = f"{node.type}  {node.note}" if node.note else node.type
    parts = [
        f'<g><title>{escape(node.name)}</title><rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="8" fill="{_FILLS.get(node.type, "#ffffff")}" stroke="{stroke}" '
        f'stroke-width="{thick}"/>',
        f'<text class="name" x="{middle:.1f}" y="{top + NODE_HEIGHT / 2 - 3:.1f}" text-anchor="middle">'
        f"{escape(node.name)}</text>",
        f'<text class="note" x="{middle:.1f}" y="{top + NODE_HEIGHT / 2 + 13:.1f}" text-anchor="middle">'
        f"{escape(note)}</text></g>\n",
    ]
    parts += [_drawing(inner, left + inner_x, top + inner_y, statuses) for inner_x, inner_y, inner in box.inside]
    return "".join(parts)


def _line(line: Line, x: float, y: float) -> str:
    points = [(x + at_x, y + at_y) for at_x, at_y in line.points]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (from_x, from_y), (to_x, to_y) in pairwise(points):
        if line.back or from_x == to_x:
            path += f"L{to_x:.1f} {to_y:.1f}"
        else:
            bend = (to_y - from_y) / 2
            path += f"C{from_x:.1f} {from_y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}"
    return f'<path class="edge {line.edge.kind}" d="{path}" marker-end="url(#end)"/>\n'


def _label(line: Line, x: float, y: float) -> str:
    """Half way down the first piece of the line, so that the labels of one state's edges stand apart."""
    (from_x, from_y), (to_x, to_y) = line.points[:2]
    if line.back:
        at_x, at_y, anchor = from_x + 4, from_y - 4, "start"
    else:
        at_x, at_y, anchor = (from_x + to_x) / 2, (from_y + to_y) / 2 + 4, "middle"
    return (
        f'<text class="label" x="{x + at_x:.1f}" y="{y + at_y:.1f}" text-anchor="{anchor}">'
        f"{escape(line.edge.label)}</text>\n"
    )
