"""Frames written by hand must be what pika would write and read; pika is the oracle, both ways."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from hearth.broker import wire

texts = st.text(max_size=40)
optional = st.none() | texts
values = texts | st.booleans() | st.binary(max_size=40) | st.integers(-(2**63), 2**63 - 1)
names = st.text(min_size=1, max_size=20)
ours = st.builds(
    BasicProperties,
    content_type=optional,
    headers=st.none() | st.dictionaries(names, values, max_size=6),
    correlation_id=optional,
    reply_to=optional,
    message_id=optional,
    type=optional,
)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
foreign_values = st.recursive(
    values | st.none() | moments | st.decimals(-100, 100, places=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
anybodys = st.builds(
    BasicProperties,
    content_type=optional,
    content_encoding=optional,
    headers=st.none() | st.dictionaries(names, foreign_values, max_size=4),
    delivery_mode=st.none() | st.integers(1, 2),
    priority=st.none() | st.integers(0, 9),
    correlation_id=optional,
    expiration=optional,
    timestamp=st.none() | st.integers(0, 2**40),
    type=optional,
    app_id=optional,
)


def frames_of(data: bytes) -> list[frame.Frame]:
    found = []
    while data:
        size, value = frame.decode_frame(data)
        assert value is not None
        found.append(value)
        data = data[size:]
    return found


def delivered(sent: BasicProperties, body: bytes, tag: str = "tag") -> bytes:
    """As a broker delivers it, made by pika."""
    method = frame.Method(7, spec.Basic.Deliver(tag, 2**40, True, "hearth.invoke", "key.0"))
    content = [frame.Header(7, len(body), sent), *([frame.Body(7, body)] if body else [])]
    return b"".join(one.marshal() for one in (method, *content))


@given(ours, st.binary(max_size=200), st.booleans())
def test_publish_reads_as_pika_reads_it(sent: BasicProperties, body: bytes, mandatory: bool) -> None:
    data = wire.publish(3, "hearth.invoke", "key.0", sent, body, mandatory=mandatory)
    assert data is not None
    method, header, *rest = frames_of(data)
    assert vars(method.method) == vars(spec.Basic.Publish(0, "hearth.invoke", "key.0", mandatory, False))
    assert (method.channel_number, header.channel_number, header.body_size) == (3, 3, len(body))
    assert vars(header.properties) == vars(sent)
    assert b"".join(one.fragment for one in rest) == body


@given(ours, st.binary(max_size=200))
def test_what_we_send_is_read_without_pika(sent: BasicProperties, body: bytes) -> None:
    found = wire.delivery(delivered(sent, body), 0)
    assert found is not None
    assert (vars(found.properties), found.body) == (vars(sent), body)


@given(anybodys, st.binary(max_size=200), texts)
def test_delivery_is_read_as_pika_reads_it_or_left_to_it(sent: BasicProperties, body: bytes, tag: str) -> None:
    data = delivered(sent, body, tag)
    found = wire.delivery(b"before" + data + b"after", 6)
    if found is not None:
        method, header, *rest = frames_of(data)
        assert vars(found.method) == vars(method.method)
        assert vars(found.properties) == vars(header.properties)
        assert found.body == b"".join(one.fragment for one in rest)
        assert found.end == 6 + len(data)


@given(anybodys)
def test_publish_of_anything_is_as_pika_reads_it_or_left_to_it(sent: BasicProperties) -> None:
    data = wire.publish(3, "", "queue", sent, b"payload")
    if data is not None:
        assert vars(frames_of(data)[1].properties) == vars(sent)


@given(st.data())
def test_incomplete_delivery_is_left_to_pika(data: st.DataObject) -> None:
    whole = delivered(BasicProperties(type="ok", headers={"key": "k"}), b"payload")
    assert wire.delivery(whole[: data.draw(st.integers(7, len(whole) - 1))], 0) is None


def test_message_in_two_body_frames_is_left_to_pika() -> None:
    method, header, _ = frames_of(delivered(BasicProperties(), b"12345678"))
    pieces = [method, header, frame.Body(7, b"1234"), frame.Body(7, b"5678")]
    assert wire.delivery(b"".join(one.marshal() for one in pieces), 0) is None


@pytest.mark.parametrize("position", [0, 1, 2], ids=["method", "header", "body"])
def test_frame_without_its_end_is_left_to_pika(position: int) -> None:
    pieces = [one.marshal() for one in frames_of(delivered(BasicProperties(type="ok"), b"payload"))]
    pieces[position] = pieces[position][:-1] + b"\0"
    assert wire.delivery(b"".join(pieces), 0) is None


def test_text_that_is_not_utf8_is_left_to_pika() -> None:
    data = delivered(BasicProperties(headers={"name": "\x00\x00"}), b"")
    assert wire.delivery(data.replace(b"\x00\x00\xce", b"\xff\xfe\xce"), 0) is None


@pytest.mark.parametrize(
    "sent",
    [
        BasicProperties(priority=1),
        BasicProperties(headers={"x-death": [{"count": 1}]}),
        BasicProperties(headers={"amount": Decimal(1)}),
        BasicProperties(headers={"count": 2**63}),
        BasicProperties(headers={"n" * 256: 1}),
        BasicProperties(message_id="m" * 256),
        BasicProperties(message_id=b"raw"),  # type: ignore[arg-type]
    ],
    ids=lambda sent: str(sent)[:60],
)
def test_what_we_do_not_send_is_left_to_pika(sent: BasicProperties) -> None:
    assert wire.publish(1, "", "q", sent, b"") is None


def test_routing_key_that_is_too_long_is_left_to_pika() -> None:
    assert wire.publish(1, "", "k" * 256, BasicProperties(), b"") is None


@given(st.integers(1, 2**16 - 1), st.integers(1, 2**64 - 1))
def test_ack_is_what_pika_writes(channel: int, tag: int) -> None:
    assert wire.ack(channel, tag) == frame.Method(channel, spec.Basic.Ack(tag, False)).marshal()
