"""JSONata states evaluate as the reference implementation does: npm's `jsonata`, in Node.js."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearth.asl.errors import StateError
from hearth.asl.jsonata import InvalidExpression, compile_jsonata
from hearth.asl.scope import Scope
from tests.conftest import missing
from tests.support.jsonata_oracle import JsonataOracle, Unavailable

INPUT: dict[str, Any] = {
    "name": "Ada Lovelace",
    "orders": [
        {"id": 1, "price": 12.5, "tags": ["a", "b"], "items": [{"sku": "x", "n": 2}, {"sku": "y", "n": 1}]},
        {"id": 2, "price": 7, "tags": [], "items": [{"sku": "x", "n": 5}]},
        {"id": 3, "price": None, "tags": ["c"]},
    ],
    "one": [5],
    "empty": [],
    "null": None,
    "nested": {"a": {"b": {"c": [[1], [2, 3]]}}},
    "when": "2024-02-03T04:05:06.789Z",
}
VARIABLES = {"rate": 1.2, "list": [3, 1, 2], "obj": {"k": "v", "z": 0}}


@pytest.fixture(scope="module")
def oracle() -> Iterator[JsonataOracle]:
    try:
        made = JsonataOracle()
    except Unavailable as exc:
        missing(str(exc))
    with made:
        yield made


def ours(source: str, given: Any = INPUT) -> dict[str, Any]:
    try:
        return {"value": compile_jsonata(source, "Output").evaluate(Scope(given, {"State": {"Name": "S"}}, VARIABLES))}
    except InvalidExpression:
        return {"code": "S"}
    except StateError as exc:
        if "undefined" in exc.cause:
            return {"undefined": True}
        code = re.search(r"\b([A-Z]\d{4}):", exc.cause)
        return {"code": code[1] if code else exc.cause}


def theirs(oracle: JsonataOracle, source: str, given: Any = INPUT) -> dict[str, Any]:
    answer = oracle.answer(source, {"states": {"input": given, "context": {"State": {"Name": "S"}}}, **VARIABLES})
    return {"code": "S"} if answer.get("code", "").startswith("S") else answer


EXPRESSIONS = """
$states.input.orders.id
$states.input.orders[price > 10].id
$states.input.orders[0]
$states.input.orders[-1].tags
$states.input.orders.tags
$states.input.orders.items.sku
$states.input.orders.(price * $rate)
$states.input.orders[id = 2].items[0].n
$states.input.orders{$string(id): price}
$states.input.orders^(>id).id
$states.input.orders@$o.items.{"id": $o.id, "sku": sku}
$states.input.orders#$i.{"i": $i, "id": id}
$states.input.orders.items[sku = "x"].%.id
$states.input.*
$states.input.**.sku
$states.input.one
$states.input.one[0]
$states.input.empty
$states.input.null
$states.input.nope
$states.input.nested.a.b.c
$states.input.nested.a.b.c[0]
[$states.input.nope]
{"a": $states.input.nope, "b": 1}
$sum($states.input.orders.items.n)
$average($list)
$sort($list)
$sort($states.input.orders, function($l, $r) { $l.id < $r.id }).id
$reverse($list)
$shuffle([1])
$zip($list, ["a", "b", "c"])
$map($list, function($v, $i, $a) { $v * $i + $count($a) })
$filter($list, function($v) { $v > 1 })
$single($list, function($v) { $v = 1 })
$reduce($list, function($a, $v) { $a + $v }, 10)
$each($obj, function($v, $k) { $k & "=" & $v })
$sift($obj, function($v) { $v = 0 })
$merge([$obj, {"k": 2}])
$spread($obj)
$keys($obj)
$lookup($obj, "k")
$exists($states.input.nope)
$type($states.input.null)
$append($list, 9)
$distinct([1, 1, "1", {"a": 1}, {"a": 1}])
$string(5890840712243076)
$string({"a": [1, null]})
$string($states.input.orders[0], true)
$length("héllo")
$substring($states.input.name, 4)
$substring($states.input.name, -8, 4)
$substringBefore($states.input.name, " ")
$substringAfter($states.input.name, " ")
$uppercase($states.input.name)
$trim("  a   b ")
$pad("x", -5, "#")
$split("a, b;c", /[,;] ?/)
$split("a b c", " ", 2)
$join(["a", "b"], "-")
$contains($states.input.name, /ada/i)
$match("ababab", /a(b)/)
$replace("John Smith", /(\\w+)\\s(\\w+)/, "$2, $1")
$replace("aaa", "a", "b", 2)
$base64encode("hello")
$base64decode("aGk=")
$encodeUrlComponent("?x=t&y=1")
$decodeUrl("https://a.b/c%20d")
$number("0x1F")
$number("12.5e1")
$abs(-5) + $floor(2.7) + $ceil(2.1)
$round(2.5) & $round(3.5) & $round(123.456, 2) & $round(150, -2)
$power(2, 10)
$sqrt(9)
$formatNumber(12345.6, "#,###.00")
$formatNumber(0.14, "01%")
$formatBase(100, 2)
$formatInteger(2789, "w")
$parseInteger("1,234", "#,##0")
$toMillis($states.input.when)
$fromMillis(1707000000000, "[Y]-[M01]-[D01] [H01]:[m01] [z]", "+0200")
$boolean([0, 1])
$not($states.input.empty)
$states.input.name = "Ada Lovelace" and $states.input.orders[0].id in [1, 2]
$states.input.nope ? "yes" : "no"
$states.input.nope ?: "default"
$states.input.null ?? "null"
-$list[0] % 2
[1..5]
[1..3, 7..9]
"a" & 1 & null & true
1 = 1.0
"10" > "9"
($x := 5; $f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f($x))
$list ~> $sum ~> $string
($double := function($n) { $n * 2 }; $inc := function($n) { $n + 1 }; 5 ~> ($double ~> $inc))
$states.input ~> |orders|{"price": 0}, ["tags", "items"]|
function($x) { $x }(4)
$substring(?, 0, 3)("abcdef")
$error("boom")
$assert(false, "no")
1 + "a"
$sum("a")
$nope()
$number("x")
$toMillis("x")
-"a"
[1.."a"]
1 < "a"
{1: 2}
$length(1)
1 +
[1, 2
"abc
$a.b.
(1
{"a" 1}
""".strip().splitlines()


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_expression_gives_what_the_reference_gives(oracle: JsonataOracle, source: str) -> None:
    assert ours(source) == theirs(oracle, source)


def test_text_is_base64_of_utf_8(oracle: JsonataOracle) -> None:
    """The reference encodes Latin-1, which most text is not."""
    source = '$base64encode("h\u00e9llo")'
    assert ours(source) == {"value": "aMOpbGxv"}
    assert theirs(oracle, source) == {"value": "aOlsbG8="}


_keys = st.sampled_from(["a", "b", "c"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=10,
)
_steps = st.one_of(
    _keys.map(".{}".format), st.integers(-1, 1).map("[{}]".format), st.just(".*"), st.just("[a = 1]"), st.just("[]")
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_input=st.dictionaries(_keys, _values, min_size=1), steps=st.lists(_steps, max_size=4))
def test_paths_give_what_the_reference_gives(oracle: JsonataOracle, given_input: Any, steps: list[str]) -> None:
    source = f"$states.input{''.join(steps)}"
    assert ours(source, given_input) == theirs(oracle, source, given_input)
