"""Intrinsic functions: what each gives, what each refuses."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest

from hearth.asl.errors import StateError
from hearth.asl.intrinsics import InvalidIntrinsic, compile_intrinsic
from hearth.asl.scope import Entropy, Scope

INPUT = {"l": [1, 2, 2, 1.0, "1"], "o": {"Arg1": 1, "Arg2": []}, "s": "a,b c", "e": [], "d": {"x": {"y": 1}}}
SCOPE = Scope(INPUT, {"Execution": {"Name": "run-1"}}, {"v": [3]}, entropy=Entropy("seed", 0))


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("States.Array()", []),
        ("States.Array('a', 1, true, null, $.o)", ["a", 1, True, None, INPUT["o"]]),
        ("States.ArrayPartition($.l, 2)", [[1, 2], [2, 1.0], ["1"]]),
        ("States.ArrayPartition($.e, 4)", []),
        ("States.ArrayContains($.l, '1')", True),
        ("States.ArrayContains($.l, true)", False),
        ("States.ArrayContains(States.Array($.d), $.d)", True),
        ("States.ArrayRange(0, 10, 3)", [0, 3, 6, 9]),
        ("States.ArrayRange(1, 9, 9)", [1]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayGetItem($.l, 4)", "1"),
        ("States.ArrayLength($.l)", 5),
        ("States.ArrayUnique($.l)", [1, 2, "1"]),
        ("States.Base64Encode('Hello')", "SGVsbG8="),
        ("States.Base64Decode('SGVsbG8=')", "Hello"),
        ("States.Base64Decode('')", ""),
        ("States.Hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("States.Hash($.o, 'SHA-1')", hashlib.sha1(b'{"Arg1":1,"Arg2":[]}').hexdigest()),
        ("States.JsonMerge($.o, $.d, false)", {"Arg1": 1, "Arg2": [], "x": {"y": 1}}),
        ("States.StringToJson('{\"a\": [1]}')", {"a": [1]}),
        ("States.StringToJson('  ')", None),
        ("States.StringToJson('-0')", 0),
        ("States.JsonToString($.o)", '{"Arg1":1,"Arg2":[]}'),
        ("States.MathAdd(1.49, 1.5)", 3),
        ("States.MathAdd(-1.5, -1.51)", -3),
        ("States.MathAdd(-0.5, 0.5)", 1),
        ("States.StringSplit(',,,,', ',')", []),
        ("States.StringSplit(', , ,', ',')", [" ", " "]),
        ("States.StringSplit($.s, ', ')", ["a", "b", "c"]),
        (r"States.Format('it\'s {} \{\} {}', $.o, $v)", "it's {Arg1=1, Arg2=[]} {} [3]"),
        ("States.Format('{}, {} and {}', true, null, 1.5)", "true, null and 1.5"),
        ("States.Format($.s)", "a,b c"),
        ("States.MathAdd(States.ArrayLength($.l), -1)", 4),
        ("States.StringSplit($$.Execution.Name, '-')", ["run", "1"]),
    ],
)
def test_what_a_call_gives(call: str, value: Any) -> None:
    assert compile_intrinsic(call).evaluate(SCOPE) == value


@pytest.mark.parametrize(
    "call",
    [
        "States.ArrayPartition($.l, 0)",
        "States.ArrayRange(0, 1, 0)",
        "States.ArrayRange(0, 1001, 1)",
        "States.ArrayGetItem($.l, 5)",
        "States.ArrayGetItem($.l, -1)",
        "States.ArrayLength($.o)",
        "States.Base64Decode('?')",
        "States.Hash('a', 'MD4')",
        "States.Hash('a', $.o)",
        "States.ArrayRange(0, 1e30, 1)",
        "States.JsonMerge($.o, $.d, true)",
        "States.StringToJson('{')",
        "States.MathAdd('1', 2)",
        "States.MathRandom(2, 2)",
        "States.Format('{}')",
    ],
)
def test_what_a_call_refuses_can_be_caught(call: str) -> None:
    with pytest.raises(StateError) as failed:
        compile_intrinsic(call).evaluate(SCOPE)
    assert (failed.value.error, failed.value.catchable) == ("States.IntrinsicFailure", True)


@pytest.mark.parametrize(
    "call",
    ["", "States.Nope()", "States.UUID", "States.UUID(", "States.UUID() x", "States.UUID(1)", "States.ArrayLength()",
     r"States.StringSplit('a', '\n')", "States.Format('a)", "States.ArrayLength($.)", "States.Array(a)",
     "States.Array(" * 11 + ")" * 11],
)  # fmt: skip
def test_what_is_no_call(call: str) -> None:
    with pytest.raises(InvalidIntrinsic):
        compile_intrinsic(call)


def test_random_values_are_repeatable_with_their_seed() -> None:
    def drawn(seed: str) -> list[Any]:
        scope = Scope({}, {}, {}, entropy=Entropy(seed, 0))
        calls = ("States.UUID()", "States.UUID()", "States.MathRandom(0, 1000000)")
        return [compile_intrinsic(call).evaluate(scope) for call in calls]

    first = drawn("one")
    assert first == drawn("one")
    assert first != drawn("two")
    assert first[0] != first[1]
    assert uuid.UUID(first[0]).version == 4
    seeded = compile_intrinsic("States.MathRandom(1, 10, 42)")
    assert seeded.evaluate(SCOPE) == seeded.evaluate(Scope({}, {}, {}))
