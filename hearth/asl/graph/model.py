"""States and what leads from one to another, read from a definition's document.

The document and not the compiled definition is read: it holds the words in which conditions were written.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hearth.asl.scope import Json

#: longest label of an edge, in characters
LABEL_LENGTH = 40

_OPERATORS = {
    "GreaterThanEquals": "≥",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "LessThan": "<",
    "Equals": "=",
    "Matches": "~",
}
_KINDS = ("String", "Numeric", "Boolean", "Timestamp")


@dataclass(frozen=True, slots=True)
class Edge:
    """kind: next, choice, default or catch."""

    source: str
    target: str
    kind: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One state. note: what there is to say of it in a few words. inside: branches, or the states of each item."""

    name: str
    type: str
    note: str = ""
    ends: bool = False
    inside: tuple[Graph, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order of the document."""

    start: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()

    def outgoing(self, name: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.source == name]


def graph_of(document: Json) -> Graph:
    """document: a machine, a branch or an item processor, parsed."""
    states: dict[str, Json] = document.get("States", {})
    nodes = {name: _node(name, state) for name, state in states.items()}
    edges = [edge for name, state in states.items() for edge in _edges(name, state) if edge.target in states]
    return Graph(document.get("StartAt", ""), nodes, tuple(edges))


def in_order(graph: Graph) -> list[str]:
    """Names of the states as they are met on the way from the start; those that nothing leads to come last."""
    found: dict[str, None] = {}
    waiting = [graph.start] if graph.start in graph.nodes else []
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += [edge.target for edge in reversed(graph.outgoing(name))]
    return [*found, *(name for name in graph.nodes if name not in found)]


def _node(name: str, state: Json) -> Node:
    inside: list[Json] = list(state.get("Branches", []))
    processor = state.get("ItemProcessor") or state.get("Iterator")
    if processor:
        inside.append(processor)
    ends = bool(state.get("End")) or state.get("Type") in ("Succeed", "Fail")
    return Node(name, state.get("Type", ""), _note(state), ends, tuple(graph_of(one) for one in inside))


def _note(state: Json) -> str:
    match state.get("Type"):
        case "Task":
            return _resource(state.get("Resource", ""))
        case "Wait":
            for member in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath"):
                if member in state:
                    return f"{_bare(state[member])} s" if member == "Seconds" else _bare(state[member])
        case "Fail":
            return _bare(state.get("Error") or state.get("ErrorPath") or "")
        case "Map":
            processor = state.get("ItemProcessor") or {}
            mode = (processor.get("ProcessorConfig") or {}).get("Mode", "INLINE").lower()
            limit = state.get("MaxConcurrency")
            return f"{mode}, {limit} at once" if limit else mode
    return ""


def _resource(resource: str) -> str:
    for prefix in (":states:::", ":function:"):
        _, found, rest = resource.partition(prefix)
        if found:
            return rest.removeprefix("aws-sdk:")
    _, found, activity = resource.partition(":activity:")
    return f"activity {activity}" if found else resource


def _edges(name: str, state: Json) -> list[Edge]:
    edges = [
        Edge(name, rule["Next"], "choice", _short(condition_text(rule)))
        for rule in state.get("Choices", [])
        if "Next" in rule
    ]
    if "Default" in state:
        edges.append(Edge(name, state["Default"], "default", "otherwise"))
    if "Next" in state:
        edges.append(Edge(name, state["Next"], "next"))
    for catcher in state.get("Catch", []):
        edges.append(Edge(name, catcher.get("Next", ""), "catch", _short(", ".join(catcher.get("ErrorEquals", [])))))
    return edges


def condition_text(rule: Json) -> str:
    """A Choice rule in words: `$.n > 3 and not $.x is null`."""
    if "Condition" in rule:
        return _bare(rule["Condition"])
    for word, joint in (("And", " and "), ("Or", " or ")):
        if word in rule:
            return joint.join(condition_text(one) for one in rule[word])
    if "Not" in rule:
        return f"not {condition_text(rule['Not'])}"
    variable = rule.get("Variable", "")
    for operator, value in rule.items():
        if operator in ("Variable", "Next", "Comment", "Assign", "Output"):
            continue
        if operator.startswith("Is"):
            answer = "is" if value else "is not"
            return f"{variable} {answer} {operator[2:].lower()}"
        for kind in _KINDS:
            if operator.startswith(kind):
                sign = _OPERATORS.get(operator[len(kind) :].removesuffix("Path"), operator)
                return f"{variable} {sign} {value}"
    return variable


def _bare(value: Json) -> str:
    """Without the brackets of an expression."""
    text = str(value)
    if text.startswith("{%") and text.endswith("%}"):
        text = text[2:-2].strip()
    return _short(text)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…"
