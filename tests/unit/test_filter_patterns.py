"""Filter patterns of event source mappings: every operator, the payloads of every kind, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from hearth.model.filter_patterns import BadPattern, compile_filters
from hearth.model.mapping import SourceKind


def matches(pattern: Any, record: Any, kind: SourceKind = SourceKind.DYNAMODB) -> bool:
    return compile_filters([json.dumps(pattern)], kind)(record)


def encoded(payload: Any) -> str:
    return base64.b64encode((payload if isinstance(payload, str) else json.dumps(payload)).encode()).decode()


@pytest.mark.parametrize(
    ("leaf", "fit", "unfit"),
    [
        (["a", "b"], ["a", "b", ["x", "b"]], ["c", None, 1, [], {"a": 1}]),
        ([100], [100, 100.0], ["100", True, 99]),
        ([True], [True], [1, "true", False]),
        ([None], [None], ["", 0]),
        ([""], [""], [None, "x"]),
        ([{"equals-ignore-case": "Alice"}], ["alice", "ALICE"], ["bob", 1]),
        ([{"anything-but": ["a", "b"]}], ["c", 1, ["a", "c"]], ["a", "b", {"n": 1}]),
        ([{"anything-but": 5}], [6, "5"], [5]),
        ([{"numeric": ["=", 100]}], [100, 1e2], [101, "100"]),
        ([{"numeric": [">", 10, "<=", 20]}], [10.5, 20], [10, 21, "15"]),
        ([{"exists": True}], ["x", None, 0, []], [{"deeper": 1}]),
        ([{"exists": False}], [{"deeper": 1}], ["x", None]),
        ([{"prefix": "us-"}], ["us-1"], ["eu-us-", 1]),
        ([{"suffix": ".png"}], ["a.png"], ["a.png.txt"]),
        ([{"prefix": "a"}, 7], ["ab", 7], ["b", 8]),
    ],
)
def test_leaf_fits_what_it_says(leaf: list[Any], fit: list[Any], unfit: list[Any]) -> None:
    for value in fit:
        assert matches({"k": leaf}, {"k": value}), value
    for value in unfit:
        assert not matches({"k": leaf}, {"k": value}), value


def test_absent_member_fits_only_where_it_must_not_exist() -> None:
    for leaf in (["a"], [None], [{"anything-but": "a"}], [{"exists": True}]):
        assert not matches({"k": leaf}, {"other": 1})
    assert matches({"k": [{"exists": False}]}, {"other": 1})
    assert matches({"deep": {"k": [{"exists": False}]}}, {"other": 1})


def test_keys_are_anded_and_patterns_are_ored() -> None:
    passes = compile_filters(['{"a": [1], "b": {"c": [2]}}', '{"d": [3]}'], SourceKind.DYNAMODB)
    assert passes({"a": 1, "b": {"c": 2}})
    assert passes({"d": 3})
    assert not passes({"a": 1, "b": {"c": 3}})


def test_or_takes_either_of_its_patterns_and_all_that_stands_beside_it() -> None:
    pattern = {"kind": ["x"], "$or": [{"a": [1]}, {"b": {"c": [2]}}]}
    assert matches(pattern, {"kind": "x", "a": 1})
    assert matches(pattern, {"kind": "x", "b": {"c": 2}})
    assert not matches(pattern, {"kind": "y", "a": 1})
    assert not matches(pattern, {"kind": "x", "a": 2})


def test_no_pattern_and_the_empty_one_let_everything_pass() -> None:
    assert compile_filters([], SourceKind.SQS)({"body": "x"})
    assert matches({}, {"body": "x"}, SourceKind.SQS)


def test_list_of_objects_matches_by_one_of_them() -> None:
    pattern = {"items": {"id": [2]}}
    assert matches(pattern, {"items": [{"id": 1}, {"id": 2}]})
    assert not matches(pattern, {"items": [{"id": 1}]})


def test_dynamodb_numbers_are_strings_under_their_type_tags() -> None:
    record = {"dynamodb": {"NewImage": {"n": {"N": "101"}}, "ApproximateCreationDateTime": 1700000000.0}}
    assert not matches({"dynamodb": {"NewImage": {"n": {"N": [{"numeric": [">", 100]}]}}}}, record)
    assert matches({"dynamodb": {"NewImage": {"n": {"N": ["101"]}}}}, record)
    assert matches({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 0]}]}}, record)
    # with its type tag inside, the attribute is no leaf
    assert matches({"dynamodb": {"NewImage": {"n": [{"exists": False}]}}}, record)


def test_kinesis_data_is_decoded_json_and_metadata_stands_beside_it() -> None:
    record = {"kinesis": {"partitionKey": "p", "data": encoded({"t": "hot"})}, "eventSource": "aws:kinesis"}
    kind = SourceKind.KINESIS
    assert matches({"data": {"t": ["hot"]}, "partitionKey": ["p"], "eventSource": ["aws:kinesis"]}, record, kind)
    assert not matches({"data": {"t": ["cold"]}}, record, kind)
    assert not matches({"data": {"t": ["hot"]}}, {"kinesis": {"data": encoded("no json")}}, kind)
    assert matches({"partitionKey": ["p"]}, {"kinesis": {"partitionKey": "p", "data": encoded("no json")}}, kind)


def test_sqs_body_is_matched_as_json_or_as_a_plain_string() -> None:
    kind = SourceKind.SQS
    assert matches({"body": {"n": [{"numeric": [">=", 1]}]}}, {"body": '{"n": 1}'}, kind)
    assert not matches({"body": {"n": [1]}}, {"body": "plain"}, kind)
    assert matches({"body": ["plain"]}, {"body": "plain"}, kind)
    assert not matches({"body": [{"exists": True}]}, {"body": '{"n": 1}'}, kind)


def test_rabbitmq_message_that_is_no_json_is_judged_by_its_properties() -> None:
    kind, pattern = SourceKind.RABBITMQ, {"data": {"n": [1]}, "redelivered": [False]}
    assert matches(pattern, {"data": encoded("text"), "redelivered": False}, kind)
    assert not matches(pattern, {"data": encoded("text"), "redelivered": True}, kind)
    assert not matches(pattern, {"data": encoded({"n": 2}), "redelivered": False}, kind)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        '"simple string"',
        "simple string",
        '[{"eventName": ["INSERT"=123}]',
        '{"eventSource": "aws:sqs"}',
        '{"eventSource": []}',
        '{"deep": {}}',
        '{"k": [["a"]]}',
        '{"k": [{}]}',
        '{"k": [{"wildcard": "a*"}]}',
        '{"k": [{"prefix": 1}]}',
        '{"k": [{"exists": "yes"}]}',
        '{"k": [{"anything-but": []}]}',
        '{"k": [{"anything-but": ["a", 1]}]}',
        '{"k": [{"numeric": [">", "1"]}]}',
        '{"k": [{"numeric": ["<", 1, ">", 0]}]}',
        '{"k": [{"numeric": ["~", 1]}]}',
        '{"$or": [{"a": [1]}]}',
        '{"data": ["plain"]}',
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(BadPattern):
        compile_filters([text], SourceKind.KINESIS)
