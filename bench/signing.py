"""Invoke requests signed ahead of time, with the headers that boto3 sends."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.load import Request


def signed_invokes(
    host: str, port: int, function: str, payloads: Sequence[bytes], credentials: Credentials, region: str
) -> list[Request]:
    """One request a payload, each with a signature of its own; AWS's five minutes of validity begin now."""
    signer = SigV4Auth(credentials, "lambda", region)
    path = f"/2015-03-31/functions/{function}/invocations"
    return [_signed(signer, f"{host}:{port}", path, payload) for payload in payloads]


def signed_events(
    host: str, port: int, function: str, payloads: Sequence[bytes], credentials: Credentials, region: str
) -> list[Request]:
    """The same for asynchronous invocations, which are answered with 202 and nothing else."""
    signer = SigV4Auth(credentials, "lambda", region)
    path = f"/2015-03-31/functions/{function}/invocations"
    kind = {"X-Amz-Invocation-Type": "Event"}
    signed = [_signed(signer, f"{host}:{port}", path, payload, kind) for payload in payloads]
    return [Request(one.wire, expected=b"", status=b"202") for one in signed]


def signed_calls(
    host: str, port: int, operation: str, bodies: Sequence[bytes], credentials: Credentials, region: str
) -> list[Request]:
    """Calls of Step Functions, one a body. What they answer differs from call to call."""
    kind = {"X-Amz-Target": f"AWSStepFunctions.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    return _signed_calls(host, port, SigV4Auth(credentials, "states", region), bodies, kind)


def signed_puts(
    host: str, port: int, operation: str, bodies: Sequence[bytes], credentials: Credentials, region: str
) -> list[Request]:
    """The same for Kinesis (PutRecord, PutRecords)."""
    kind = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    return _signed_calls(host, port, SigV4Auth(credentials, "kinesis", region), bodies, kind)


def _signed_calls(
    host: str, port: int, signer: SigV4Auth, bodies: Sequence[bytes], kind: Mapping[str, str]
) -> list[Request]:
    signed = [_signed(signer, f"{host}:{port}", "/", body, kind) for body in bodies]
    return [Request(one.wire, expected=None) for one in signed]


def _signed(
    signer: SigV4Auth, netloc: str, path: str, payload: bytes, more: Mapping[str, str] = MappingProxyType({})
) -> Request:
    headers = {
        **more,
        "User-Agent": "Boto3/1.40 md/Botocore#1.40 lang/python#3.11 md/pyimpl#CPython cfg/retry-mode#legacy",
        "amz-sdk-invocation-id": str(uuid.uuid4()),
        "amz-sdk-request": "attempt=1",
    }
    request = AWSRequest("POST", f"http://{netloc}{path}", data=payload, headers=headers)
    signer.add_auth(request)
    lines = [f"POST {path} HTTP/1.1", f"Host: {netloc}", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(payload)}", "", ""]
    return Request("\r\n".join(lines).encode() + payload, payload)
