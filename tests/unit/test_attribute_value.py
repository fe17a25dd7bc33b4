"""Attribute values and places of items: order, weight, one form for equal values."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.errors import ApiError, ValidationFailed
from hearth.model.attribute_value import canonical, encoded, item_bytes, number, number_text, sort_bytes
from hearth.model.change import ChangeStream, entry_of, sequence_number
from hearth.model.stream import EntryId
from hearth.model.table import KeyAttribute, Table, after_prefix, segment_of, segment_start

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**25), max_value=10**25)


@given(NUMBERS, NUMBERS)
def test_bytes_of_numbers_have_the_order_of_the_numbers(one: Decimal, other: Decimal) -> None:
    first, second = (sort_bytes(canonical({"N": str(value)})) for value in (one, other))
    assert (first < second, first == second) == (one < other, one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-9.9e125", "-1e125"),
        ("-1", "-1e-130"),
        ("-1e-130", "0"),
        ("0", "1e-130"),
        ("9e-130", "1e-129"),
        ("9", "1e125"),
    ],
)
def test_order_holds_at_the_ends_of_the_range(one: str, other: str) -> None:
    assert sort_bytes(canonical({"N": one})) < sort_bytes(canonical({"N": other}))


@given(NUMBERS)
def test_numbers_come_back_equal_and_in_one_form(value: Decimal) -> None:
    text = number_text(number(str(value)))
    assert Decimal(text) == value
    assert number_text(number(f"{value:E}")) == text


def test_equal_items_are_equal_texts() -> None:
    one = {"b": {"SS": ["y", "x"]}, "a": {"M": {"q": {"N": "1.0"}, "p": {"NS": ["10", "9.0"]}}}}
    other = {"a": {"M": {"p": {"NS": ["9", "1e1"]}, "q": {"N": "1"}}}, "b": {"SS": ["x", "y"]}}
    texts = {encoded({name: canonical(value) for name, value in item.items()}) for item in (one, other)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "is empty"),
        ({"S": "a", "N": "1"}, "has more than one datatypes set"),
        ({"X": "a"}, "is empty"),
        ({"NULL": False}, "Null attribute value types must have the value of true"),
        ({"NS": ["1", "1.0"]}, "contains duplicates"),
        ({"L": [{"M": {"a": {"BS": []}}}]}, "An binary set  may not be empty"),
    ],
)
def test_no_value_is_refused_in_the_words_of_aws(value: Any, problem: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        canonical(value)
    assert problem in caught.value.message


@pytest.mark.parametrize("value", ["text", {"S": 1}, {"N": 1}, {"BOOL": "true"}, {"B": "###"}, {"L": {}}, {"M": []}])
def test_wrong_json_types_are_no_serialisation_of_a_value(value: Any) -> None:
    with pytest.raises(ApiError) as caught:
        canonical(value)
    assert caught.value.code == "SerializationException"


def test_weight_is_that_of_names_and_values() -> None:
    assert item_bytes({"id": {"S": "Fred"}}) == 6
    assert item_bytes({"b": {"B": base64.b64encode(b"12345").decode()}}) == 6
    assert item_bytes({"n": {"N": "12.5"}, "t": {"BOOL": True}}) == 1 + 3 + 1 + 1
    assert item_bytes({"l": {"L": [{"S": "ab"}]}}) == 1 + 3 + 1 + 2


TABLE = Table("0", "r", "t", "id", 1, KeyAttribute("pk", "S"), KeyAttribute("sk", "S"), "PAY_PER_REQUEST")


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=5))
def test_partitions_lie_apart_whatever_their_keys(one: str, other: str, sort: str) -> None:
    place = TABLE.place({"pk": {"S": one}, "sk": {"S": sort}})
    prefix = TABLE.partition({"S": other})
    assert (prefix <= place < after_prefix(prefix)) == (one == other)


@given(st.binary(min_size=8, max_size=12), st.integers(2, 100))
def test_each_place_is_in_the_segment_whose_range_holds_it(place: bytes, segments: int) -> None:
    segment = segment_of(place, segments)
    assert segment_start(segment, segments) <= place or segment == 0
    assert segment + 1 == segments or place < segment_start(segment + 1, segments)


def test_table_is_read_as_it_was_written() -> None:
    stream = ChangeStream.opened("0", "r", "t", "KEYS_ONLY", TABLE.key_schema, 1_700_000_000_123)
    table = Table(
        "0", "r", "t", "id", 1, KeyAttribute("pk", "S"), None, "PROVISIONED", 0, 1, 2, tags={"a": "b"}, stream=stream
    )
    assert Table.from_json(table.to_json()) == table
    assert Table.from_json(TABLE.to_json()) == TABLE
    assert stream.label == "2023-11-14T22:13:20.123"
    assert 28 <= len(stream.shard_id) <= 65


def test_sequence_number_gives_its_entry_back() -> None:
    entry = EntryId(1_700_000_000_123, 7)
    assert entry_of(sequence_number(entry)) == entry
    assert int(sequence_number(entry)) < int(sequence_number(entry.following()))
    with pytest.raises(ValueError, match="no sequence number"):
        entry_of("12a")
