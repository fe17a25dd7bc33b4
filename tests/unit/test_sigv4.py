"""Signatures against botocore's own signer, and every way in which one may be wrong."""

from __future__ import annotations

import asyncio
import datetime
from unittest import mock

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.http import Request
from gateway.identity_cache import IdentityCache
from gateway.keys import Keys
from gateway.sigv4 import Verifier
from hearth import credentials
from hearth.errors import HearthError
from hearth.model.identity import AccessKey, Role
from hearth.settings import Settings
from hearth.store.identities import Identities

SECRET = b"platform secret"
NOW = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
URL = "http://127.0.0.1:4566/2015-03-31/functions/f/invocations"


class Table:
    """What `state` would say."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def epoch(self) -> int:
        return 1

    async def all(self) -> Identities:
        return self._identities


def known(*access_keys: AccessKey, roles: tuple[Role, ...] = ()) -> IdentityCache:
    by_id = {key.id: key for key in access_keys}
    cache = IdentityCache(Table(Identities(by_id, {(role.account, role.name): role for role in roles})))  # type: ignore[arg-type]
    asyncio.run(cache.lease.renew())
    return cache


def verifier(now: datetime.datetime = NOW, identities: IdentityCache | None = None, **settings: object) -> Verifier:
    return Verifier(Keys(Settings(**settings), SECRET, identities or known()), clock=now.timestamp)


def signed(
    url: str = URL,
    *,
    key: str = "test",
    secret: str = "test",
    token: str | None = None,
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    service: str = "lambda",
    presigned_s: int | None = None,
    from_function: bool = False,
) -> Request:
    request = AWSRequest("POST", url, data=body, headers=headers or {})
    credential = Credentials(key, secret, token)
    signer: SigV4Auth = SigV4Auth(credential, service, "eu-west-1")
    if presigned_s is not None:
        signer = SigV4QueryAuth(credential, service, "eu-west-1", expires=presigned_s)
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        signer.add_auth(request)
    prepared = request.prepare()
    path, _, query = prepared.url.split("/", 3)[3].partition("?")
    sent = {
        name.lower(): value if isinstance(value, str) else value.decode() for name, value in prepared.headers.items()
    }
    sent.setdefault("host", prepared.url.split("/")[2])
    return Request("POST", f"/{path}", query, sent, body, from_function=from_function)


def refused(request: Request, by: Verifier | None = None, service: str = "lambda") -> HearthError:
    with pytest.raises(HearthError) as caught:
        (by or verifier()).verify(request, service)
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://localhost:4566/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af",
        "http://localhost:4566/2015-03-31/functions/?Marker=a%2Fb%3D&MaxItems=5&Empty=",
        "http://localhost/2017-03-31/tags/x?tagKeys=b&tagKeys=a&tagKeys=%C3%A4%20",
        "http://localhost/",
        "http://f.localhost/a//b/./c/../d/~tilde_-.",
    ],
)
def test_what_botocore_signs_is_accepted(url: str) -> None:
    caller = verifier().verify(signed(url, body=b"\x00\xff payload"), "lambda")

    assert (caller.account, caller.region) == ("000000000000", "eu-west-1")


def test_signed_header_with_spaces_is_accepted() -> None:
    request = signed(headers={"X-Amz-Client-Context": "  a   b ", "Content-Type": "application/json"})

    assert verifier().verify(request, "lambda").account == "000000000000"


def test_presigned_request_is_accepted_until_it_expires() -> None:
    request = signed(presigned_s=600, body=b"")

    assert verifier(NOW + datetime.timedelta(seconds=590)).verify(request, "lambda").account == "000000000000"
    late = refused(request, verifier(NOW + datetime.timedelta(seconds=601)))
    assert late.code == "InvalidSignatureException"
    assert late.message.startswith("Signature expired: 20260304T050607Z is now earlier than ")


def test_unsigned_payload_is_accepted_whatever_the_body() -> None:
    request = signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    request.body = b"another"

    assert verifier().verify(request, "lambda").account == "000000000000"


@pytest.mark.parametrize("member", ["method", "path", "query", "body", "header"])
def test_anything_changed_after_signing_is_refused(member: str) -> None:
    request = signed(headers={"X-Amz-Log-Type": "Tail"})
    match member:
        case "method":
            request.method = "GET"
        case "path":
            request.path += "x"
        case "query":
            request.query = "Qualifier=1"
        case "body":
            request.body = b"{ }"
        case "header":
            request.headers["x-amz-log-type"] = "None"

    error = refused(request)

    assert (error.code, error.status) == ("InvalidSignatureException", 403)
    assert error.message.startswith("The request signature we calculated does not match the signature you provided.")


def test_wrong_secret_is_refused_and_unknown_key_named() -> None:
    assert refused(signed(secret="wrong")).code == "InvalidSignatureException"
    unknown = refused(signed(key="AKIDUNKNOWN"))
    assert (unknown.code, unknown.status) == ("UnrecognizedClientException", 403)
    assert unknown.message == "The security token included in the request is invalid."


def test_no_signature_and_half_a_signature_are_told_apart() -> None:
    bare = Request("GET", "/", "", {"host": "localhost"})
    half = signed()
    half.headers["authorization"] = "AWS4-HMAC-SHA256 Credential=test/20260304/eu-west-1/lambda/aws4_request"

    assert refused(bare).code == "MissingAuthenticationTokenException"
    incomplete = refused(half)
    assert incomplete.code == "IncompleteSignatureException"
    assert "Authorization header requires 'Signature' parameter." in incomplete.message
    assert "Authorization header requires 'SignedHeaders' parameter." in incomplete.message


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic abc", "AWS4-HMAC-SHA256 ,,,=", "AWS4-HMAC-SHA256 Credential=a, Signature=b, SignedHeaders=c"],
)
def test_malformed_authorization_is_incomplete_not_a_crash(authorization: str) -> None:
    request = signed()
    request.headers["authorization"] = authorization

    assert refused(request).code == "IncompleteSignatureException"


@pytest.mark.parametrize(("minutes", "text"), [(6, "Signature expired: "), (-6, "Signature not yet current: ")])
def test_clock_that_is_off_by_more_than_five_minutes_is_refused(minutes: int, text: str) -> None:
    error = refused(signed(), verifier(NOW + datetime.timedelta(minutes=minutes)))

    assert error.code == "InvalidSignatureException"
    assert error.message.startswith(text)


def test_signature_for_another_service_is_refused() -> None:
    assert "correct service: 'lambda'" in refused(signed(service="sqs")).message


def test_twelve_digits_are_a_development_key_of_that_account() -> None:
    assert verifier().verify(signed(key="000000000002"), "lambda").account == "000000000002"


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"Host": "127.0.0.1:4566"}, True),
        ({"Host": "[::1]:4566"}, True),
        ({"Host": "x.lambda-url.localhost"}, True),
        ({"Host": "localhost", "Origin": "http://localhost:3000"}, True),
        ({"Host": "evil.example"}, False),
        ({"Host": "localhost.evil.example"}, False),
        ({"Host": "127.0.0.1.evil.example"}, False),
        ({"Host": "localhost", "Origin": "https://evil.example"}, False),
        ({"Host": "localhost", "Origin": "null"}, False),
    ],
)
def test_development_key_serves_this_machine_only(headers: dict[str, str], accepted: bool) -> None:
    request = signed(headers=headers)

    if accepted:
        assert verifier().verify(request, "lambda").account == "000000000000"
    else:
        assert (refused(request).code, refused(request).status) == ("AccessDeniedException", 403)


@pytest.mark.parametrize("settings", [{"bind": "0.0.0.0"}, {"development_key": False}])
def test_development_key_is_unknown_beyond_loopback_or_when_off(settings: dict[str, object]) -> None:
    assert refused(signed(), verifier(**settings)).code == "UnrecognizedClientException"


def test_development_key_is_unknown_on_the_listener_for_functions() -> None:
    assert refused(signed(from_function=True)).code == "UnrecognizedClientException"


def test_configured_key_is_accepted_from_anywhere() -> None:
    own = verifier(bind="0.0.0.0", access_keys="AKIDONE:s:cr/et:111122223333")
    request = signed(key="AKIDONE", secret="s:cr/et", headers={"Host": "hearth.example", "Origin": "https://x.example"})

    assert own.verify(request, "lambda").account == "111122223333"


def function_credentials(expires_in_s: int = 60) -> credentials.Credentials:
    role = "arn:aws:iam::111122223333:role/path/worker"
    expires_at_s = int(NOW.timestamp()) + expires_in_s
    return credentials.mint(SECRET, credentials.Session("111122223333", "eu-west-1", role, "f", expires_at_s))


def test_functions_credentials_stand_for_their_role() -> None:
    mine = function_credentials()
    request = signed(
        key=mine.access_key_id, secret=mine.secret_access_key, token=mine.session_token, from_function=True
    )

    caller = verifier().verify(request, "lambda")

    assert caller.account == "111122223333"
    assert caller.arn == "arn:aws:sts::111122223333:assumed-role/worker/f"


def test_functions_credentials_expire() -> None:
    mine = function_credentials(expires_in_s=-1)
    request = signed(key=mine.access_key_id, secret=mine.secret_access_key, token=mine.session_token)

    assert refused(request).code == "ExpiredTokenException"


def test_token_that_was_changed_or_belongs_to_another_key_is_refused() -> None:
    mine, other = function_credentials(), function_credentials(expires_in_s=61)
    for key, token in (
        (mine.access_key_id, other.session_token),
        (mine.access_key_id, "x" + mine.session_token),
        (mine.access_key_id, mine.session_token[:-1]),
        (mine.access_key_id, "é"),
    ):
        request = signed(key=key, secret=mine.secret_access_key)
        request.headers["x-amz-security-token"] = token
        assert refused(request).code == "UnrecognizedClientException"
