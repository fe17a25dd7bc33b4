"""Signatures out: a client's request signed anew, for a server that knows this host's keys and not the client's.

Source: AWS General Reference, "Signature Version 4 signing process".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Protocol

from gateway.http import Request
from gateway.sigv4 import ALGORITHM, UNREAD_SERVICES, UNSIGNED_PAYLOAD, canonical_request, signing_key
from hearth.errors import ApiError


class FrozenKeys(Protocol):
    """botocore's ReadOnlyCredentials."""

    access_key: str
    secret_key: str
    token: str | None


#: asked at each request, since keys of roles are renewed
Keys = Callable[[], FrozenKeys]
_SIGNED_QUERY = re.compile(
    r"(?:^|&)X-Amz-(?:Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)=[^&]*"
)
_CHUNKS_SIGNED = "STREAMING-AWS4-HMAC-SHA256"


def resigned(request: Request, keys: Keys | None, region: str, service: str) -> dict[str, str]:
    """The headers to send; those of a presigned request carry the signature too, its query (`request.query`, changed
    here) none. `request.headers["host"]` is the server's. Raises ApiError: no keys, or chunks that only the client
    can sign."""
    if keys is None:
        raise ApiError("UnrecognizedClientException", 403, "This host has no keys for AWS: see HEARTH_AWS_ENDPOINTS.")
    own = keys()
    request.query = _SIGNED_QUERY.sub("", request.query).lstrip("&")
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in ("authorization", "x-amz-security-token", "x-amz-date")
    }
    headers["x-amz-date"] = signed_at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    if own.token:
        headers["x-amz-security-token"] = own.token
    streams = service in UNREAD_SERVICES
    if streams:
        payload = headers.setdefault("x-amz-content-sha256", UNSIGNED_PAYLOAD)
        if payload.startswith(_CHUNKS_SIGNED):
            raise ApiError("NotImplemented", 501, "Uploads whose chunks are signed one by one can't be passed on.")
    request.headers = headers
    signed = tuple(sorted(name for name in headers if name in ("host", "content-type") or name.startswith("x-amz-")))
    digest = hashlib.sha256(canonical_request(request, signed, streams=streams).encode()).hexdigest()
    scope = f"{signed_at[:8]}/{region}/{service}/aws4_request"
    to_sign = f"{ALGORITHM}\n{signed_at}\n{scope}\n{digest}"
    signature = hmac.digest(signing_key(own.secret_key, signed_at[:8], region, service), to_sign.encode(), "sha256")
    names = ";".join(signed)
    headers["authorization"] = (
        f"{ALGORITHM} Credential={own.access_key}/{scope}, SignedHeaders={names}, Signature={signature.hex()}"
    )
    return headers
