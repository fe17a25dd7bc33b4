"""JSONPath: the dialect in tables, and two libraries as oracles where they speak it too."""

from __future__ import annotations

from typing import Any

import jsonpath as python_jsonpath
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.ext import parse as parse_ng

from hearth.asl.errors import StateError
from hearth.asl.jsonpath import InvalidPath, PathMissing, Root, compile_path

DOCUMENT: dict[str, Any] = {
    "a": {"b": [1, 2, {"c": 3}], "x-y": 1, "x:y": 2, "with space": 4, "it's": 5},
    "users": [{"status": 0, "name": "ann"}, {"status": 1, "name": "bob", "tags": ["x"]}],
    "null": None,
    'back\\"slash"': 6,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DOCUMENT),
        ("$.a.b[0]", 1),
        ("$['a']['b'][1]", 2),
        ('$["a"]["with space"]', 4),
        (r"$.a['it\'s']", 5),
        ("$['back\\\\\"slash\"']", 6),
        ("$['back\\\"slash\"']", 6),
        ("$.a.x-y", 1),
        ("$.a.x:y", 2),
        ("$.a.b[-1].c", 3),
        ("$.null", None),
        ("$.[?(@.a)]", [DOCUMENT]),
        ("$.a.b[0,1]", [1, 2]),
        ("$.a.b[1:]", [2, {"c": 3}]),
        ("$.a.b[:1]", [1]),
        ("$.a.b[-2:]", [2, {"c": 3}]),
        ("$.a['x-y','x:y','none']", {"x-y": 1, "x:y": 2}),
        ("$..c", [3]),
        ("$.users[*].name", ["ann", "bob"]),
        ("$.users[?(@.status == 0)]", [DOCUMENT["users"][0]]),
        ("$.users[?(@.status==1 && @.name in ['bob','x'])].name", ["bob"]),
        ("$.users[?(@.status > 0 || @.name == 'ann')].status", [0, 1]),
        ("$.users[?(!@.tags)].name", ["ann"]),
        ("$.users[?(@.name =~ /B.B/i)].name", ["bob"]),
        ("$.users[?(@.tags contains 'x')].name", ["bob"]),
        ("$.users[?(@.status == $.a.x-y)].name", ["bob"]),
        ("$..[?(@.status)].name", ["ann", "bob"]),
        ("$.users.length()", 2),
        ("$.none[*]", []),
        ("$.a.none[1:5].x", []),
    ],
)
def test_what_a_path_finds(path: str, found: Any) -> None:
    assert compile_path(path).get(DOCUMENT) == found


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.no", "Invalid path '$.no' : No results for path: $['no']"),
        ("$.a.no", "Invalid path '$.a.no' : No results for path: $['a']['no']"),
        ("$.no.such.path", "Invalid path '$.no.such.path' : Missing property in path $['no']"),
        ("$.a.b[7]", "Invalid path '$.a.b[7]' : Index out of bounds when evaluating path $['a']['b'][7]"),
    ],
)
def test_where_a_definite_path_ends(path: str, reason: str) -> None:
    with pytest.raises(PathMissing) as missing:
        compile_path(path).get(DOCUMENT)
    assert str(missing.value) == reason
    assert missing.value.out_of_range is path.endswith("[7]")


@pytest.mark.parametrize(
    "path",
    ["", "a.b", "$.", "$.a.", "$..", "$.a[", "$.a['b", "$.a[x]", "$x y", "$.a b", "$$$", "$.a[?(@.x =)]", "$.nope()"],
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(InvalidPath):
        compile_path(path)


@pytest.mark.parametrize(
    ("path", "root", "reference"),
    [
        ("$.a[0]", Root.INPUT, True),
        ("$$.Map.Item.Index", Root.CONTEXT, True),
        ("$items[0].x", Root.VARIABLE, True),
        ("$.a[*]", Root.INPUT, False),
        ("$.a[0:1]", Root.INPUT, False),
        ("$.a.length()", Root.INPUT, False),
    ],
)
def test_where_a_path_starts_and_whether_it_can_be_written_to(path: str, root: Root, reference: bool) -> None:
    compiled = compile_path(path)
    assert (compiled.root, compiled.is_reference) == (root, reference)


@pytest.mark.parametrize(
    ("path", "document", "written"),
    [
        ("$.x", {}, {"x": 1}),
        ("$.x.y.z", {"x": {"k": 0}}, {"x": {"k": 0, "y": {"z": 1}}}),
        ("$.l[1]", {"l": [0, 0]}, {"l": [0, 1]}),
        ("$.l[0].n", {"l": [{"m": 2}]}, {"l": [{"m": 2, "n": 1}]}),
    ],
)
def test_writing_copies_only_the_way(path: str, document: Any, written: Any) -> None:
    before = repr(document)
    assert compile_path(path).put(document, 1) == written
    assert repr(document) == before


@pytest.mark.parametrize(("path", "document"), [("$.x", []), ("$.l[2]", {"l": [0]}), ("$.t.x", {"t": "text"})])
def test_writing_where_nothing_can_stand(path: str, document: Any) -> None:
    with pytest.raises(StateError) as failed:
        compile_path(path).put(document, 1)
    assert failed.value.error == "States.ResultPathMatchFailure"


_names = st.sampled_from(["a", "b", "c"])
# no longer strings: python-jsonpath takes slices of them too, AWS's Jayway does not
_leaves = st.none() | st.booleans() | st.integers(0, 3) | st.text("xy", max_size=1)
_documents = st.dictionaries(
    _names,
    st.recursive(
        _leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
        max_leaves=12,
    ),
    min_size=1,
    max_size=3,
)
_steps = st.one_of(
    _names.map(".{}".format), st.integers(0, 2).map("[{}]".format), st.just("[*]"), st.just("[1:]"), st.just("[0,1]")
)
_paths = st.lists(_steps, max_size=4).map(lambda steps: "$" + "".join(steps))


@given(path=_paths, document=_documents)
def test_two_libraries_find_the_same(path: str, document: Any) -> None:
    compiled = compile_path(path)
    try:
        value = compiled.get(document)
        ours = [value] if compiled.definite else value
    except PathMissing:
        ours = []
    assert ours == list(python_jsonpath.findall(path, document))
    assert ours == [match.value for match in parse_ng(path).find(document)]


@given(
    operator=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    right=st.integers(0, 3),
    values=st.lists(st.integers(0, 3), max_size=6),
)
def test_filters_agree_with_a_library(operator: str, right: int, values: list[int]) -> None:
    path = f"$.a[?(@.b {operator} {right})]"
    document = {"a": [{"b": value} for value in values]}
    assert compile_path(path).get(document) == list(python_jsonpath.findall(path, document))
