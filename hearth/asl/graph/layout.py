"""Where the states of a graph are drawn: in layers from the start down, containers around what is inside them.

The usual layered drawing (Sugiyama): edges that lead back are set aside, a state's layer is its longest way from the
start, long edges bend in every layer that they cross, and each layer is ordered by where its neighbours lie.
All lengths in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hearth.asl.graph.model import Edge, Graph, Node, in_order

CHARACTER = 7.2
NODE_HEIGHT = 44.0
PADDING = 16.0
GAP_X, GAP_Y = 36.0, 52.0
_BEND_WIDTH = 12.0
_SWEEPS = 6


@dataclass(slots=True)
class Box:
    """A state's rectangle; x, y: its upper left corner. inside: drawings with their own corner, as (x, y, drawing)."""

    node: Node | None
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    inside: list[tuple[float, float, Drawing]] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(slots=True)
class Line:
    """An edge: where it starts, bends and ends."""

    edge: Edge
    points: list[tuple[float, float]]
    #: it leads to an earlier state
    back: bool = False


@dataclass(slots=True)
class Drawing:
    width: float
    height: float
    boxes: list[Box]
    lines: list[Line]


def lay_out(graph: Graph) -> Drawing:
    names = in_order(graph)
    boxes = {name: _box(graph.nodes[name]) for name in names}
    back = _back_edges(graph, names)
    forward = [edge for edge in graph.edges if edge not in back and edge.source != edge.target]
    layers = _layers(names, forward)
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in names:
        rows[layers[name]].append(name)
    chains = [_bend(edge, layers, rows, boxes) for edge in forward]
    _order(rows, chains)
    width = _place(rows, boxes, chains)
    height = _heights(rows, boxes)
    lines = [Line(chain.edge, _points(chain, boxes)) for chain in chains]
    turned = [edge for edge in graph.edges if edge in back or edge.source == edge.target]
    for number, edge in enumerate(turned):
        lane = width + GAP_X / 2 * (number + 1)
        source, target = boxes[edge.source], boxes[edge.target]
        start, end = source.y + source.height / 2, target.y + target.height / 3
        points = [(source.x + source.width, start), (lane, start), (lane, end), (target.x + target.width, end)]
        lines.append(Line(edge, points, back=True))
    width += GAP_X / 2 * (len(turned) + (1 if turned else 0))
    return Drawing(width, height, [box for box in boxes.values() if box.node is not None], lines)


@dataclass(slots=True)
class _Chain:
    """An edge with the bends it has in the layers between its ends, all by name."""

    edge: Edge
    stops: list[str]


def _box(node: Node) -> Box:
    title = max(len(node.name), len(node.type) + len(node.note) + 2)
    width = max(title * CHARACTER + 2 * PADDING, 110.0)
    if not node.inside:
        return Box(node, width, NODE_HEIGHT)
    drawings = [lay_out(inner) for inner in node.inside]
    inner_width = sum(drawing.width for drawing in drawings) + PADDING * (len(drawings) - 1)
    width = max(width, inner_width + 2 * PADDING)
    box = Box(node, width, NODE_HEIGHT + max(drawing.height for drawing in drawings) + 2 * PADDING)
    x = (width - inner_width) / 2
    for drawing in drawings:
        box.inside.append((x, NODE_HEIGHT + PADDING, drawing))
        x += drawing.width + PADDING
    return box


def _back_edges(graph: Graph, names: list[str]) -> set[Edge]:
    """Edges to a state that the walk from the start is still in."""
    back: set[Edge] = set()
    done: set[str] = set()
    for root in names:
        if root in done:
            continue
        path = [root]
        walks = {root: iter(graph.outgoing(root))}
        while path:
            edge = next(walks[path[-1]], None)
            if edge is None:
                done.add(path.pop())
            elif edge.target in path:
                back.add(edge)
            elif edge.target not in done:
                path.append(edge.target)
                walks[edge.target] = iter(graph.outgoing(edge.target))
    return back


def _layers(names: list[str], forward: list[Edge]) -> dict[str, int]:
    layers = dict.fromkeys(names, 0)
    for _ in names:  # as many rounds as the longest way has states
        changed = False
        for edge in forward:
            if layers[edge.target] <= layers[edge.source]:
                layers[edge.target] = layers[edge.source] + 1
                changed = True
        if not changed:
            break
    return layers


def _bend(edge: Edge, layers: dict[str, int], rows: list[list[str]], boxes: dict[str, Box]) -> _Chain:
    stops = [edge.source]
    for layer in range(layers[edge.source] + 1, layers[edge.target]):
        name = f"\0{edge.source}\0{edge.target}\0{edge.label}\0{edge.kind}\0{layer}"
        if name not in boxes:
            boxes[name] = Box(None, _BEND_WIDTH, 0.0)
            rows[layer].append(name)
        stops.append(name)
    return _Chain(edge, [*stops, edge.target])


def _neighbours(chains: list[_Chain]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in chains:
        for one, other in pairwise(chain.stops):
            below.setdefault(one, []).append(other)
            above.setdefault(other, []).append(one)
    return above, below


def _order(rows: list[list[str]], chains: list[_Chain]) -> None:
    above, below = _neighbours(chains)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            places = {name: place for each in rows for place, name in enumerate(each)}
            near = above if down else below
            row.sort(key=lambda name: _mean([places[other] for other in near.get(name, [name])]))


def _place(rows: list[list[str]], boxes: dict[str, Box], chains: list[_Chain]) -> float:
    """Set the boxes' x: each near the middle of its neighbours, none over another. Returns the width."""
    above, below = _neighbours(chains)
    for row in rows:
        _pack(row, boxes, {name: boxes[name].width / 2 for name in row})
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = {name: _mean([boxes[other].middle for other in near.get(name, [name])]) for name in row}
            _pack(row, boxes, wanted)
    left = min((box.x for box in boxes.values()), default=0.0)
    for box in boxes.values():
        box.x -= left
    return max((box.x + box.width for box in boxes.values()), default=0.0)


def _pack(row: list[str], boxes: dict[str, Box], wanted: dict[str, float]) -> None:
    """From left to right as near to the wanted middles as the order lets them, then all moved by what is left over."""
    edge = float("-inf")
    for name in row:
        box = boxes[name]
        box.x = max(wanted[name] - box.width / 2, edge)
        edge = box.x + box.width + GAP_X
    if row:
        shift = _mean([wanted[name] - boxes[name].middle for name in row])
        for name in row:
            boxes[name].x += shift


def _heights(rows: list[list[str]], boxes: dict[str, Box]) -> float:
    y = 0.0
    for row in rows:
        height = max((boxes[name].height for name in row), default=0.0)
        for name in row:
            box = boxes[name]
            if box.node is None:  # an edge passes a tall neighbour straight
                box.height = height
            box.y = y
        y += height + GAP_Y
    return max(0.0, y - GAP_Y)


def _points(chain: _Chain, boxes: dict[str, Box]) -> list[tuple[float, float]]:
    first, last = boxes[chain.stops[0]], boxes[chain.stops[-1]]
    points = [(first.middle, first.y + first.height)]
    for name in chain.stops[1:-1]:
        bend = boxes[name]
        points += [(bend.middle, bend.y), (bend.middle, bend.y + bend.height)]
    return [*points, (last.middle, last.y)]


def _mean(values: list[float] | list[int]) -> float:
    return sum(values) / len(values)
