"""The JSONata adapter: what states see, how failures are told, what is bounded."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import pytest

from hearth.asl import jsonata
from hearth.asl.errors import StateError
from hearth.asl.jsonata import InvalidExpression, compile_jsonata, compile_value
from hearth.asl.jsonata_syntax import mentions
from hearth.asl.scope import Entropy, Scope

INPUT = {"a": 1, "l": [1, 2, 3], "o": {"x": [{"y": 1}, {"y": 2}], "s": [5], "e": []}, "f": 1.0, "n": None, "big": 2**53}
SCOPE = Scope(
    INPUT,
    {"Execution": {"Name": "run-1"}},
    {"v": 7, "w": {"q": [1]}, "count": 3},
    result={"r": 1},
    entropy=Entropy("seed", 1_700_000_000_123),
)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$states.input.a", 1),
        ("$states.input.o.s", [5]),
        ("$states.input.o.e", []),
        ("$states.input.o.x.y", [1, 2]),
        ("$states.input.f", 1),
        ("$states.input.n", None),
        ("$states.input.big", 2**53),
        ("$states.context.Execution.Name", "run-1"),
        ("$states.result.r + $v", 8),
        ("$v", 7),
        ("$w.q", [1]),
        ("$count", 3),
        ("$states.input.o.x[y=2].%.s", 5),
        ("$keys($states)", ["input", "context", "result"]),
        ("$merge([$states.input.o, {'z': $v}]).z", 7),
        ("$partition($states.input.l, 2)", [[1, 2], [3]]),
        ("$range(0, 6, 2)", [0, 2, 4, 6]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$range(1, 9, 9)", 1),
        ("$hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("$random(42)", 0.7275636800328681),
        ("$parse('{\"a\": [1]}')", {"a": [1]}),
        ("$millis()", 1_700_000_000_123),
        ("$now()", "2023-11-14T22:13:20.123Z"),
        ("$now('[Y0001]')", "2023"),
        ("$map(['a', 'b'], $hash(?, 'MD5'))[0]", "0cc175b9c0f1b6a831c399e269772661"),
        ("[1/0, -1/0]", ["Infinity", "-Infinity"]),
        ("null", None),
    ],
)
def test_what_an_expression_gives(source: str, value: Any) -> None:
    assert compile_jsonata(source, "Output").evaluate(SCOPE) == value


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("$nope", "returned nothing (undefined)."),
        ("$states.input.nope", "returned nothing (undefined)."),
        ("$states.errorOutput", "returned nothing (undefined)."),
        ("function($x){$x}", "returned an unsupported result type."),
        ("$nope()", "threw an error during evaluation. T1006: Attempted to invoke a non-function"),
        ("$eval('1')", "threw an error during evaluation. T1006: Attempted to invoke a non-function"),
        ("1 + 'a'", "threw an error during evaluation. T2002: "),
        ("$hash('a', 'MD4')", "threw an error during evaluation. T0410: "),
        ("[1..300000]", "threw an error during evaluation: Expression evaluation memory limit exceeded: "),
        ("($f := function($n){$f($n + 1) + 1}; $f(1))", "threw an error during evaluation: Stack overflow error: "),
        (
            "($f := function($n){$f($n + 1)}; $f(1))",
            "threw an error during evaluation: Expression evaluation timeout: ",
        ),
    ],
)
def test_how_failures_are_told(source: str, cause: str) -> None:
    with pytest.raises(StateError) as failed:
        compile_jsonata(source, "Output/a").evaluate(SCOPE)
    assert failed.value.cause.startswith(
        f"The JSONata expression '{source}' specified for the field 'Output/a' {cause}"
    )
    assert (failed.value.error, failed.value.location) == ("States.QueryEvaluationError", "Output/a")
    assert failed.value.catchable
    assert failed.value.evaluation


def test_string_that_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small bound: to make one beyond the real one may take a busy machine longer than an evaluation may."""
    monkeypatch.setattr(jsonata, "MAX_STRING", 1_000)
    assert compile_jsonata("$length($pad('a', 1000))", "Output").evaluate(SCOPE) == 1_000
    with pytest.raises(StateError, match=r"Expression evaluation memory limit exceeded: "):
        compile_jsonata("$pad('a', 1001)", "Output").evaluate(SCOPE)


def test_value_of_another_type_than_the_field_takes() -> None:
    with pytest.raises(StateError) as failed:
        compile_jsonata("{'foo': 'bar'}", "Items", "array").evaluate(SCOPE)
    assert failed.value.cause == (
        "The JSONata expression '{'foo': 'bar'}' specified for the field 'Items' returned an unexpected result type. "
        "Expected 'array', but was 'object' for value: {\"foo\":\"bar\"}"
    )


@pytest.mark.parametrize("literal", [" {% 1 %}", "{% 1 %} ", "{%", "{%}", "text", 5, None, {"a": ["{{% x %}"]}])
def test_what_is_no_expression_is_itself(literal: Any) -> None:
    assert compile_value(literal, "Output").evaluate(SCOPE) == literal


def test_leaves_of_a_structure_are_told_by_their_place() -> None:
    value = {"a": {"b": ["{% $v %}", {"c": "{% $nope %}"}]}}
    with pytest.raises(StateError) as failed:
        compile_value(value, "Assign").evaluate(SCOPE)
    assert failed.value.location == "Assign/a/b[1]/c"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1 +", "Unexpected end of expression"),
        ('"abc', "String literal must be terminated by a matching quote"),
        ("[1, 2", 'Expected "]" before end of expression'),
        ("[1 2]", 'Expected "]", got "2"'),
        ("1), (2", 'Syntax error: ")"'),
        ("1 /* no end", "Comment has no closing tag"),
    ],
)
def test_what_is_no_jsonata(source: str, text: str) -> None:
    with pytest.raises(InvalidExpression) as refused:
        compile_jsonata(source, "Output")
    assert str(refused.value) == text


def test_expressions_run_on_any_thread() -> None:
    expression = compile_jsonata("$sum($states.input.l) + $v", "Output")
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: expression.evaluate(SCOPE), range(40))) == {13}


def test_integer_beyond_what_the_library_takes_is_told() -> None:
    with pytest.raises(StateError) as failed:
        compile_jsonata("$v + 1", "Output").evaluate(Scope({}, {}, {"v": 2**70}))
    assert failed.value.error == "States.QueryEvaluationError"
    # what an expression does not mention does not matter
    assert compile_jsonata("1 + 1", "Output").evaluate(Scope({"x": 2**70}, {}, {"v": 2**70})) == 2


@pytest.mark.parametrize(
    ("source", "top_level", "variables"),
    [
        ("name", ["name"], set()),
        ("$.a + $$", ["$", "$$"], set()),
        ("$x.name[b = $y]", [], {"x", "y"}),
        ("($z := $x; $z + 1)", [], {"x"}),
        ("$map($a, function($v){ $v.b + $q })", [], {"map", "a", "q"}),
        ("($f := function($n){ $f($n - 1) }; $f(3))", [], set()),
        ("{'k': foo}", ["foo"], set()),
        ("$a ~> |b|{'c': d}|", [], {"a"}),
        ("$a@$i.b#$n.{'x': $i, 'y': $n}", [], {"a"}),
        ("$contains($a, /b\\/c/i) ? 1 : $d", [], {"contains", "a", "d"}),
    ],
)
def test_what_an_expression_mentions(source: str, top_level: list[str], variables: set[str]) -> None:
    found = mentions(source)
    assert list(found.top_level) == top_level
    assert found.variables == variables
