"""Signatures in: AWS Signature Version 4 of the Authorization header and of presigned queries.

Who signed decides the account; the signature's scope decides the region. Error texts are AWS's.
Source: AWS General Reference, "Signature Version 4 signing process"; botocore.auth is the oracle of the tests.
"""

from __future__ import annotations

import calendar
import functools
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, unquote

from gateway.caller import Caller
from gateway.http import Request
from gateway.keys import Keys
from hearth.errors import ApiError

ALGORITHM = "AWS4-HMAC-SHA256"
CLOCK_SKEW_S = 300
#: of an Authorization header; AWS takes 8 KB of headers in all
MAX_AUTHORIZATION = 8192
#: longest life of a presigned request, of the S3 and STS documentation
MAX_PRESIGNED_S = 7 * 24 * 3600
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
#: their bodies are passed on as they come, so what a client says of its body is checked where it arrives
UNREAD_SERVICES = frozenset({"s3", "s3express"})

_NOT_THE_SAME = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_DATE = re.compile(r"\d{8}T\d{6}Z")
_SPACES = re.compile(r" {2,}")


class _Claims(NamedTuple):
    """What one client's signatures of a day have in common."""

    access_key: str
    #: YYYYMMDD
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]


class _Signature(NamedTuple):
    claims: _Claims
    signature: str
    #: YYYYMMDDTHHMMSSZ
    signed_at: str
    token: str | None
    #: seconds that a presigned request lives; None: signed by header
    expires_s: int | None = None


class Verifier:
    """Checks requests' signatures against the keys that the platform knows."""

    def __init__(self, keys: Keys, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock

    def verify(self, request: Request, service: str) -> Caller:
        """Who signed `request`, for a service's signing name. Raises ApiError with AWS's code and text."""
        given = _read(request)
        access_key, date, region, signed_service, signed_headers = given.claims
        now_s = self._clock()
        _check_time(given, now_s)
        if signed_service != service:
            raise _invalid(f"Credential should be scoped to correct service: '{service}'. ")
        caller, secrets = self._keys.find(access_key, given.token, region, request, now_s)
        canonical = canonical_request(
            request, signed_headers, presigned=given.expires_s is not None, streams=service in UNREAD_SERVICES
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{ALGORITHM}\n{given.signed_at}\n{date}/{region}/{service}/aws4_request\n{digest}"
        for secret in secrets:
            key = signing_key(secret, date, region, service)
            expected = hmac.digest(key, to_sign.encode(), hashlib.sha256).hex()
            if hmac.compare_digest(expected.encode(), given.signature.encode()):
                return caller
        raise _invalid(_NOT_THE_SAME)


def access_key_of(request: Request) -> str:
    """The id of the key that signed, as the request claims it. Raises ApiError."""
    return _read(request).claims.access_key


@functools.lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


def canonical_request(
    request: Request, signed_headers: tuple[str, ...], *, presigned: bool = False, streams: bool = False
) -> str:
    """The text that both sides hash. Raises ApiError if a signed header is missing.

    streams: by S3's rules: paths as they are, and the body as the client claims it to be, since it isn't read here.
    """
    headers = request.headers
    try:
        lines = "".join(f"{name}:{_collapsed(headers[name])}\n" for name in signed_headers)
    except KeyError as exc:
        raise _invalid(_NOT_THE_SAME) from exc
    query = canonical_query(request.query) if request.query else ""
    if streams:
        path = quote(unquote(request.path), safe="/-_.~")
        payload = UNSIGNED_PAYLOAD if presigned else headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
    else:
        path, payload = canonical_path(request.path), _payload_hash(request)
    return f"{request.method}\n{path}\n{query}\n{lines}\n{';'.join(signed_headers)}\n{payload}"


@functools.lru_cache(maxsize=4096)
def canonical_path(path: str) -> str:
    """Dot segments and double slashes removed, then encoded once more: what every service but S3 signs."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part and part != ".":
            parts.append(part)
    end = "/" if path.endswith("/") and parts else ""
    return quote(f"/{'/'.join(parts)}{end}", safe="/~-_.")


def canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if part and name != "X-Amz-Signature":
            pairs.append((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _collapsed(value: str) -> str:
    value = value.strip()
    return _SPACES.sub(" ", value) if "  " in value else value


def _payload_hash(request: Request) -> str:
    claimed = request.headers.get("x-amz-content-sha256")
    if claimed == UNSIGNED_PAYLOAD:
        return claimed
    actual = hashlib.sha256(request.body).hexdigest()
    if claimed is not None and claimed != actual:
        raise _invalid("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return actual


def _read(request: Request) -> _Signature:
    authorization = request.headers.get("authorization")
    if authorization is not None:
        if len(authorization) > MAX_AUTHORIZATION:
            raise _incomplete(f"Authorization header is longer than {MAX_AUTHORIZATION} bytes.")
        signed_at = request.headers.get("x-amz-date") or request.headers.get("date") or ""
        return _from_header(authorization, signed_at, request.headers.get("x-amz-security-token"))
    if "X-Amz-Signature=" in request.query:
        return _from_query(request)
    raise ApiError("MissingAuthenticationTokenException", 403, "Missing Authentication Token")


def _from_header(authorization: str, signed_at: str, token: str | None) -> _Signature:
    before, _, rest = authorization.partition("Signature=")
    signature, _, behind = rest.partition(",")
    claims = _claims(before, behind.strip(), bool(signature.strip()))
    if not _DATE.fullmatch(signed_at):
        raise _incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
            f"Authorization={before[:256]}"
        )
    return _Signature(claims, signature.strip(), signed_at, token)


@functools.lru_cache(maxsize=256)
def _claims(before: str, behind: str, signed: bool) -> _Claims:
    """From an Authorization header without its signature: what is before it, what is behind it, whether there is one.

    Kept, since a client sends the same with every request.
    """
    algorithm, _, rest = before.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'. Authorization={before[:256]}")
    fields = {}
    for part in f"{rest},{behind}".split(","):
        name, _, value = part.strip().partition("=")
        fields[name] = value
    has = {"Credential": fields.get("Credential"), "Signature": signed, "SignedHeaders": fields.get("SignedHeaders")}
    if missing := [name for name, value in has.items() if not value]:
        complaints = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        raise _incomplete(f"{complaints} Authorization={before[:256]}")
    return _Claims(*_scope(fields["Credential"]), tuple(fields["SignedHeaders"].split(";")))


def _from_query(request: Request) -> _Signature:
    parameters = {name: values[0] for name, values in request.parameters.items()}
    needed = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires")
    missing = [name for name in needed if not parameters.get(name)]
    if missing or parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(
            " ".join(f"AWS query-string parameters must include '{name}'." for name in missing)
            or f"Unsupported AWS 'algorithm': '{parameters['X-Amz-Algorithm'][:64]}'."
        )
    if not _DATE.fullmatch(parameters["X-Amz-Date"]) or not parameters["X-Amz-Expires"].isdecimal():
        raise _incomplete("Date must be in ISO-8601 'basic format', and X-Amz-Expires a number of seconds.")
    scope = _scope(parameters["X-Amz-Credential"])
    return _Signature(
        _Claims(*scope, tuple(parameters["X-Amz-SignedHeaders"].split(";"))),
        parameters["X-Amz-Signature"],
        parameters["X-Amz-Date"],
        parameters.get("X-Amz-Security-Token"),
        min(int(parameters["X-Amz-Expires"]), MAX_PRESIGNED_S),
    )


def _scope(credential: str) -> tuple[str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential[:128]}'"
        )
    return parts[0], parts[1], parts[2], parts[3]


def _check_time(given: _Signature, now_s: float) -> None:
    if given.signed_at[:8] != given.claims.date:
        raise _invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{given.claims.date}' != '{given.signed_at[:8]}', from '{given.signed_at}'."
        )
    signed_s = _epoch(given.signed_at)
    allowed_s = CLOCK_SKEW_S if given.expires_s is None else given.expires_s
    if signed_s + allowed_s < now_s:
        raise _invalid(
            f"Signature expired: {given.signed_at} is now earlier than {_stamp(now_s - allowed_s)} "
            f"({_stamp(now_s)} - {allowed_s // 60} min.)"
        )
    if signed_s - CLOCK_SKEW_S > now_s:
        raise _invalid(
            f"Signature not yet current: {given.signed_at} is still later than {_stamp(now_s + CLOCK_SKEW_S)} "
            f"({_stamp(now_s)} + {CLOCK_SKEW_S // 60} min.)"
        )


@functools.lru_cache(maxsize=1024)
def _epoch(stamp: str) -> float:
    try:
        return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError as exc:
        raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{stamp}'.") from exc


def _stamp(epoch_s: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_s))


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", 403, message)


def _incomplete(message: str) -> ApiError:
    return ApiError("IncompleteSignatureException", 403, message)
