"""Errors of requests that are passed on, in the protocol that their client reads, with no service model at hand.

The protocol shows in the request: `X-Amz-Target` is AWS JSON, `Smithy-Protocol` CBOR, a form AWS Query, S3 its own XML;
all else is REST-JSON.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

import orjson

from gateway.http import Answer, Request
from gateway.protocols.query import CODES, REQUEST_ID
from hearth.errors import HearthError

_XML = (b"content-type", b"text/xml")
_S3_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "MissingAuthenticationTokenException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "AccessDeniedException": "AccessDenied",
}


def error_answer(service: str, request: Request, error: HearthError) -> Answer:
    """service: its canonical name."""
    if service == "s3":
        code = _S3_CODES.get(error.code, error.code)
        return Answer(error.status, f"<Error>{_inside(code, error.message)}</Error>".encode(), [_XML])
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        headers = [(b"content-type", b"application/cbor"), (b"smithy-protocol", b"rpc-v2-cbor")]
        return Answer(error.status, _cbor({"__type": error.code, "message": error.message}), headers)
    if "x-amz-target" in request.headers:
        body = orjson.dumps({"__type": error.code, "message": error.message})
        return Answer(error.status, body, [(b"content-type", b"application/x-amz-json-1.1")])
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        code = CODES.get(error.code, error.code)
        kind = "Sender" if error.status < 500 else "Receiver"
        inside = f"<Error><Type>{kind}</Type>{_inside(code, error.message)}</Error>"
        request_id = f"<RequestId>{REQUEST_ID.decode()}</RequestId>"
        return Answer(error.status, f"<ErrorResponse>{inside}{request_id}</ErrorResponse>".encode(), [_XML])
    headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", error.code.encode())]
    return Answer(error.status, orjson.dumps({"message": error.message}), headers)


def _inside(code: str, message: str) -> str:
    return f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"


def _cbor(members: dict[str, str]) -> bytes:
    """A map of text strings (RFC 8949, 3.1)."""
    body = bytes([0xA0 | len(members)])
    for text in (one for pair in members.items() for one in pair):
        data = text.encode()
        body += (bytes([0x60 | len(data)]) if len(data) < 24 else b"\x79" + len(data).to_bytes(2)) + data
    return body
