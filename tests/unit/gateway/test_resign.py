"""A client's request, signed anew with this host's keys: what the other side verifies."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from gateway.http import Request
from gateway.identity_cache import IdentityCache
from gateway.keys import Keys
from gateway.resign import resigned
from gateway.sigv4 import Verifier
from hearth.errors import ApiError
from hearth.settings import Settings
from hearth.store.identities import Identities

UNSIGNED_CHUNKS = {"host": "s3", "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
OWN = SimpleNamespace(access_key="AKIDOWN", secret_key="secret", token=None)


class Nobody:
    async def epoch(self) -> int:
        return 0

    async def all(self) -> Identities:
        return Identities()


def other_side() -> Verifier:
    cache = IdentityCache(Nobody())  # type: ignore[arg-type]
    asyncio.run(cache.lease.renew())
    return Verifier(Keys(Settings(access_keys="AKIDOWN:secret:111122223333"), b"", cache))


@pytest.mark.parametrize(
    ("service", "request_"),
    [
        ("sqs", Request("POST", "/", "", {"host": "sqs", "content-type": "application/x-amz-json-1.0"}, b"{}")),
        ("s3", Request("GET", "/b/a%20k", "list-type=2&prefix=a%2Fb", {"host": "s3"})),
        (
            "s3",
            Request("PUT", "/b/k", "", dict(UNSIGNED_CHUNKS)),
        ),
    ],
)
def test_other_side_accepts_the_new_signature(service: str, request_: Request) -> None:
    request_.headers |= {"authorization": "the client's", "x-amz-security-token": "the client's"}
    request_.headers = resigned(request_, lambda: OWN, "eu-west-1", service)

    assert other_side().verify(request_, service).account == "111122223333"


def test_clients_signature_in_the_query_is_gone() -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&versionId=1&X-Amz-Signature=00&X-Amz-Expires=60&X-Amz-Credential=a%2Fb"
    request = Request("GET", "/b/k", query, {"host": "s3"})
    request.headers = resigned(request, lambda: OWN, "eu-west-1", "s3")

    assert request.query == "versionId=1"
    assert other_side().verify(request, "s3").region == "eu-west-1"


def test_what_can_not_be_signed_anew() -> None:
    chunks = Request("PUT", "/b/k", "", {"host": "s3", "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"})
    with pytest.raises(ApiError, match="chunks"):
        resigned(chunks, lambda: OWN, "eu-west-1", "s3")
    with pytest.raises(ApiError, match="no keys for AWS"):
        resigned(Request("GET", "/", "", {"host": "s3"}), None, "eu-west-1", "s3")
