"""Extensions, Telemetry and Logs API, and SnapStart's calls, driven by bytes: every misuse has AWS's answer."""

from __future__ import annotations

import json
import uuid
from socket import socket
from typing import Any

import pytest

from tests.unit.test_runtime_api import ID, NEXT, Runtime, event, post
from workers.sandbox.extensions import Extensions
from workers.sandbox.runtime_api import InitError
from workers.sandbox.runtime_api.states import RuntimeState
from workers.sandbox.telemetry import Telemetry
from workers.sandbox.telemetry.subscription import BadSubscription, parse

REGISTER, NEXT_EVENT = "/2020-01-01/extension/register", "/2020-01-01/extension/event/next"


def ask(method: str, path: str, body: Any = b"", **headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}"]
    lines += [f"Lambda-Extension-{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class Sandbox(Runtime):
    """A runtime with extensions beside it; `outside` was started from /opt/extensions."""

    def __init__(self, *external: str) -> None:
        super().__init__()
        self.restores = 0
        self.api.extensions = Extensions(external, ended=lambda: self.api.ended is not None)
        self.api.facts = {"functionName": "f", "functionVersion": "7", "handler": "app.h", "accountId": "0"}

        async def connect(port: int) -> socket:
            raise OSError(port)

        self.api.telemetry = Telemetry(connect)

    def restore_begins(self) -> None:
        self.restores += 1

    def ask(self, method: str, path: str, body: Any = b"", **headers: str) -> tuple[int, Any, bytes]:
        """Status, body and the whole."""
        answer = self.send(ask(method, path, body, **headers))
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(content or b"null"), answer

    def register(self, name: str, *events: str) -> str:
        status, _, answer = self.ask("POST", REGISTER, {"events": events}, Name=name)
        assert status == 200
        return answer.partition(b"Lambda-Extension-Identifier: ")[2].partition(b"\r\n")[0].decode()


def refusal(answer: tuple[int, Any, bytes]) -> tuple[int, str, str]:
    status, body, _ = answer
    return status, body["errorType"], body["errorMessage"]


async def test_registering_answers_with_the_functions_facts() -> None:
    sandbox = Sandbox("outside")
    status, body, answer = sandbox.ask("POST", REGISTER, {"events": ["SHUTDOWN"]}, Name="outside")
    assert (status, body) == (200, {"functionName": "f", "functionVersion": "7", "handler": "app.h"})
    uuid.UUID(answer.partition(b"Identifier: ")[2][:36].decode())
    _, more, _ = sandbox.ask("POST", REGISTER, b"", Name="inside", Accept_Feature="accountId")
    assert more["accountId"] == "0"


@pytest.mark.parametrize(
    ("body", "headers", "error_type", "message"),
    [
        ({}, {}, "Extension.InvalidExtensionName", "Empty extension name"),
        (
            {"configurationKeys": ["a"]},
            {"Name": "inside"},
            "InvalidRequestFormat",
            "configurationKeys are deprecated; use environment variables instead",
        ),
        ({"events": ["DANCE"]}, {"Name": "inside"}, "Extension.InvalidEventType", "DANCE: ErrorInvalidEventType"),
        (
            {"events": ["SHUTDOWN"]},
            {"Name": "inside"},
            "Extension.InvalidEventType",
            "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
        ),
    ],
)
async def test_a_wrong_registration_is_refused(
    body: Any, headers: dict[str, str], error_type: str, message: str
) -> None:
    assert refusal(Sandbox().ask("POST", REGISTER, body, **headers)) == (403, error_type, message)


async def test_a_registration_that_is_no_json_is_refused() -> None:
    status, error_type, _ = refusal(Sandbox().ask("POST", REGISTER, b"{", Name="inside"))
    assert (status, error_type) == (403, "InvalidRequestFormat")


async def test_registering_twice_late_or_as_the_eleventh_is_refused() -> None:
    sandbox = Sandbox("outside")
    sandbox.register("outside")
    assert refusal(sandbox.ask("POST", REGISTER, {}, Name="outside"))[1:] == (
        "Extension.InvalidExtensionState",
        f"State transition from Registered to Registered failed for extension "
        f"{sandbox.api.extensions.all['outside'].id}. Error: State transition is not allowed",
    )
    for number in range(9):
        sandbox.register(f"inside-{number}", "INVOKE")
    taken = refusal(sandbox.ask("POST", REGISTER, {}, Name="inside-0"))
    assert taken[1:] == ("Extension.InvalidExtensionState", "Extension with this name already registered")
    many = refusal(sandbox.ask("POST", REGISTER, {}, Name="inside-10"))
    assert many == (403, "Extension.TooManyExtensions", "Extension limit (10) reached")
    sandbox.api.extensions.closed = True
    late = refusal(sandbox.ask("POST", REGISTER, {}, Name="late"))
    assert late == (403, "Extension.RegistrationClosed", "Extension registration closed already")


@pytest.mark.parametrize(
    ("headers", "error_type", "message"),
    [
        ({}, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        ({"Identifier": "x"}, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
        ({"Identifier": ID}, "Extension.UnknownExtensionIdentifier", f"Unknown extension {ID}"),
    ],
)
async def test_who_asks_must_be_known(headers: dict[str, str], error_type: str, message: str) -> None:
    assert refusal(Sandbox().ask("GET", NEXT_EVENT, **headers)) == (403, error_type, message)


async def test_an_event_goes_to_those_who_want_it_and_done_is_the_next_next() -> None:
    sandbox = Sandbox("outside", "deaf")
    outside, deaf = sandbox.register("outside", "INVOKE", "SHUTDOWN"), sandbox.register("deaf", "SHUTDOWN")
    lines = []
    for identifier in (outside, deaf):
        connection, wire = sandbox.connect()
        connection.data_received(ask("GET", NEXT_EVENT, Identifier=identifier))
        lines.append(wire)
    sandbox.send(NEXT)
    assert sandbox.api.waiting
    sandbox.api.extensions.invoke(event(trace_id="Root=1"), 5)
    assert b"Lambda-Extension-Event-Identifier: " in lines[0].written
    assert json.loads(lines[0].written.partition(b"\r\n\r\n")[2]) == {
        "eventType": "INVOKE",
        "deadlineMs": 5,
        "requestId": ID,
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"},
    }
    assert (lines[1].written, sandbox.api.waiting) == (b"", False)
    sandbox.send(ask("GET", NEXT_EVENT, Identifier=outside))
    assert sandbox.api.waiting
    again = refusal(sandbox.ask("GET", NEXT_EVENT, Identifier=outside))
    assert again[2].startswith(f"State transition from Ready to Ready failed for extension {outside}.")


async def test_a_next_that_was_cut_off_may_be_asked_again_and_misses_nothing() -> None:
    sandbox = Sandbox("outside")
    identifier = sandbox.register("outside", "SHUTDOWN")
    connection, _ = sandbox.connect()
    connection.data_received(ask("GET", NEXT_EVENT, Identifier=identifier))
    connection.connection_lost(None)
    sandbox.api.extensions.shut_down("spindown", 9)
    _, body, _ = sandbox.ask("GET", NEXT_EVENT, Identifier=identifier)
    assert body == {"eventType": "SHUTDOWN", "deadlineMs": 9, "shutdownReason": "spindown"}


@pytest.mark.parametrize(("which", "kind"), [("init", "Extension.InitError"), ("exit", "Extension.ExitError")])
async def test_an_extension_that_gives_up_ends_the_sandbox(which: str, kind: str) -> None:
    sandbox = Sandbox("outside")
    path = f"/2020-01-01/extension/{which}/error"
    unknown = refusal(sandbox.ask("POST", path, Identifier=ID, Function_Error_Type="Extension.X"))
    assert unknown == (403, "Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier")
    identifier = sandbox.register("outside")
    missing = refusal(sandbox.ask("POST", path, Identifier=identifier))
    assert missing == (403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
    status, body, _ = sandbox.ask("POST", path, Identifier=identifier, Function_Error_Type="Extension.X")
    assert (status, body) == (202, {"status": "OK"})
    assert sandbox.api.ended is not None
    assert sandbox.api.ended[:2] == (kind, "Extension.X")


# --- telemetry ------------------------------------------------------------------------------------------------
HTTP = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/x"}


def subscription(**changes: Any) -> dict[str, Any]:
    return {"schemaVersion": "2022-07-01", "types": ["platform"], "destination": HTTP} | changes


@pytest.mark.parametrize(("path", "which"), [("/2022-07-01/telemetry", "Telemetry"), ("/2020-08-15/logs", "Logs")])
async def test_subscribing_is_possible_during_init_only(path: str, which: str) -> None:
    sandbox = Sandbox("outside")
    identifier = sandbox.register("outside")
    given = subscription(schemaVersion="2020-08-15" if which == "Logs" else "2022-07-01")
    assert refusal(sandbox.ask("PUT", path, given))[1] == "Extension.MissingExtensionIdentifier"
    assert sandbox.ask("PUT", path, given, Identifier=identifier)[:2] == (200, "OK")
    assert sandbox.api.telemetry is not None
    sandbox.api.telemetry.close_subscriptions()
    late = refusal(sandbox.ask("PUT", path, given, Identifier=identifier))
    assert late == (403, f"{which}.SubscriptionClosed", f"{which} API subscription is closed already")
    sandbox.api.telemetry.close()


async def test_both_apis_at_once_are_refused() -> None:
    sandbox = Sandbox("outside")
    identifier = sandbox.register("outside")
    sandbox.ask("PUT", "/2022-07-01/telemetry", subscription(), Identifier=identifier)
    legacy = subscription(schemaVersion="2020-08-15")
    assert sandbox.ask("PUT", "/2020-08-15/logs", legacy, Identifier=identifier)[0] == 400
    assert sandbox.api.telemetry is not None
    sandbox.api.telemetry.close()


async def test_a_wrong_subscription_is_told_everything_at_once() -> None:
    sandbox = Sandbox("outside")
    identifier = sandbox.register("outside")
    given = subscription(types=[], destination={"protocol": "HTTP", "URI": "http://sandbox.localdomain/x"})
    answer = refusal(sandbox.ask("PUT", "/2022-07-01/telemetry", given, Identifier=identifier))
    assert answer == (400, "ValidationError", "URI port is not provided; types should not be empty")


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": {"protocol": "HTTP", "URI": "http://example.com:80/"}},
        {"destination": {"protocol": "HTTP", "URI": "https://sandbox.localdomain:80/"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:9001/"}},
        {"destination": {"protocol": "TCP", "port": 0}},
        {"destination": {"protocol": "UDP", "port": 5}},
        {"destination": None},
        {"types": ["gossip"]},
        {"buffering": {"maxItems": 999}},
        {"buffering": {"maxBytes": 1}},
        {"buffering": {"timeoutMs": 30_001}},
        {"schemaVersion": "1999-01-01"},
    ],
)
def test_what_cannot_be_subscribed_to_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadSubscription):
        parse(json.dumps(subscription(**changes)).encode(), legacy=False)


def test_a_subscription_has_the_defaults_of_aws() -> None:
    parsed = parse(json.dumps(subscription(destination={"protocol": "TCP", "port": 99})).encode(), legacy=False)
    assert (parsed.protocol, parsed.port, parsed.max_items, parsed.max_bytes, parsed.timeout_ms) == (
        "TCP",
        99,
        10_000,
        262_144,
        1000,
    )


# --- SnapStart ------------------------------------------------------------------------------------------------
RESTORE_NEXT = b"GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_runtime_that_waits_to_be_restored_is_at_once() -> None:
    sandbox = Sandbox()
    assert sandbox.send(RESTORE_NEXT).startswith(b"HTTP/1.1 200 OK\r\n")
    assert (sandbox.restores, sandbox.api.state) == (1, RuntimeState.RESTORING)
    assert b"State transition from Restoring to RestoreReady failed" in sandbox.send(RESTORE_NEXT)
    sandbox.send(NEXT)
    assert sandbox.api.started.result() is None


async def test_a_failed_restore_is_the_inits_error() -> None:
    sandbox = Sandbox()
    kind = "Lambda-Runtime-Function-Error-Type: Runtime.AfterRestoreError"
    early = sandbox.send(post("restore/error", b'{"a":1}', kind))
    assert b"State transition from Started to RuntimeRestoreErrorState failed" in early
    sandbox.send(RESTORE_NEXT)
    assert sandbox.send(post("restore/error", b'{"a":1}', kind)).startswith(b"HTTP/1.1 202 ")
    assert sandbox.api.started.result() == InitError(b'{"a":1}', "application/json", "Runtime.AfterRestoreError")
    assert b"403 Forbidden" in sandbox.send(NEXT)


async def test_the_init_process_is_taken_only_when_one_is_expected() -> None:
    assert Sandbox().send(b"GET /hearth/init HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 404 ")


async def test_the_identity_of_the_caller_reaches_the_runtime() -> None:
    sandbox = Sandbox()
    sandbox.send(NEXT)
    connection, wire = sandbox.connect()
    connection.data_received(NEXT)
    sandbox.api.offer(event(cognito_identity='{"cognitoIdentityId":"i"}'))
    assert b'\r\nLambda-Runtime-Cognito-Identity: {"cognitoIdentityId":"i"}\r\n' in wire.written
