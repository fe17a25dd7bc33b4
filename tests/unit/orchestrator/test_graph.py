"""Definitions drawn."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from hearth.asl.graph.layout import Drawing, lay_out
from hearth.asl.graph.model import condition_text, graph_of
from hearth.asl.graph.progress import progress
from hearth.asl.graph.svg import draw_svg
from hearth.asl.graph.text import draw_text
from tests.support.simulated_execution import a_document, simulate

from .test_histories import FAIL, INVOKE, PASS, a_map
from .test_properties import Machines

LOOP = a_document(
    {
        "Ask": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 3, "Next": "Work"}],
            "Default": "Sorry",
        },
        "Work": INVOKE | {"Next": "Ask", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}]},
        "Sorry": FAIL,
    }
)


def test_text_names_where_each_state_leads_to() -> None:
    assert draw_text(graph_of(LOOP), {"Ask": "SUCCEEDED", "Work": "FAILED"}).splitlines() == [
        "✔ Ask    Choice",
        "  ? $.n < 3   → Work",
        "  ? otherwise → Sorry",
        "✘ Work   Task  lambda:invoke",
        "    → Ask",
        "  ! States.ALL → Sorry",
        "  Sorry  Fail  Broken  ■",
    ]


def test_text_draws_what_is_inside() -> None:
    assert draw_text(graph_of(a_document({"M": a_map({"X": PASS, "Y": PASS})}))).splitlines() == [
        "▶ M  Map  inline, 1 at once  ■",
        "  ├─ for each item",
        "  │   ▶ X  Pass",
        "  │     ↓",
        "  │     Y  Pass  ■",
    ]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"Variable": "$.a", "StringMatches": "x*"}, "$.a ~ x*"),
        ({"Variable": "$.a", "NumericGreaterThanEqualsPath": "$.b"}, "$.a ≥ $.b"),
        ({"Variable": "$.a", "IsNull": False}, "$.a is not null"),
        ({"Not": {"Variable": "$.a", "BooleanEquals": True}}, "not $.a = True"),
        (
            {"Or": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.b", "TimestampLessThan": "t"}]},
            "$.a is present or $.b < t",
        ),
        ({"Condition": "{% $states.input.n > 1 %}"}, "$states.input.n > 1"),
    ],
)
def test_conditions_in_words(rule: Any, text: str) -> None:
    assert condition_text(rule) == text


def check_apart(drawing: Drawing) -> None:
    """No box lies over another or outside of what holds it."""
    for number, box in enumerate(drawing.boxes):
        assert box.x >= -0.01
        assert box.x + box.width <= drawing.width + 0.01
        assert box.y + box.height <= drawing.height + 0.01
        for other in drawing.boxes[number + 1 :]:
            beside = box.x + box.width <= other.x + 0.01 or other.x + other.width <= box.x + 0.01
            below = box.y + box.height <= other.y + 0.01 or other.y + other.height <= box.y + 0.01
            assert beside or below, (box.node, other.node)
        for x, y, inner in box.inside:
            assert x + inner.width <= box.width + 0.01
            assert y + inner.height <= box.height + 0.01
            check_apart(inner)


@pytest.mark.parametrize("seed", range(80))
def test_states_of_random_machines_lie_apart_and_lines_go_down(seed: int) -> None:
    graph = graph_of(Machines(seed).states(0))
    drawing = lay_out(graph)
    check_apart(drawing)
    assert len(drawing.lines) == len(graph.edges)
    for line in drawing.lines:
        heights = [y for _, y in line.points]
        assert line.back or heights == sorted(heights)


def test_states_of_an_execution_tell_how_far_they_came() -> None:
    states = {"A": PASS, "M": a_map({"X": PASS, "Y": FAIL}), "Z": PASS}
    played = simulate(states, [1, 2])
    events = [event.to_api() for event in played.events if event.id]
    assert progress(events) == {"A": "SUCCEEDED", "M": "FAILED", "X": "SUCCEEDED", "Y": "FAILED"}
    assert progress(events[:4]) == {"A": "SUCCEEDED", "M": "RUNNING"}


def test_svg_stands_alone_and_shows_statuses() -> None:
    picture = draw_svg(graph_of(LOOP), {"Work": "FAILED"})
    root = ElementTree.fromstring(picture)
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Ask", "Work", "Sorry", "$.n < 3", "otherwise", "States.ALL"} <= set(texts)
    assert 'stroke="#dc2626"' in picture
    assert "href" not in picture
