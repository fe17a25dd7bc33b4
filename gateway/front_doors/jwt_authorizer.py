"""JWT authorizers: a token that an issuer has signed, checked with the keys that the issuer publishes.

Source: API Gateway Developer Guide, "Control access to HTTP APIs with JWT authorizers"; OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import orjson
import urllib3

from gateway.front_doors.outbound import Unreachable, open_pool

#: AWS keeps an issuer's keys for two hours
KEYS_LIVE_S = 7200.0
#: a token signed with a key that is not known may have its issuer asked again, this often
ASK_AGAIN_S = 30.0
#: an issuer that did not answer is left alone for this long: its requests must not queue up behind it
LEFT_ALONE_S = 5.0
FETCH_S = 5.0
MAX_DOCUMENT_BYTES = 1 << 20
_NO_ANSWER = "OIDC discovery endpoint communication error"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")


class Unauthorized(Exception):
    """The text is for the WWW-Authenticate header."""


class Forbidden(Exception):
    """The token is good, but none of its scopes is one of the route's."""


class IssuerKeys:
    """Issuers' public keys by key id, fetched when they are needed and kept for a while."""

    def __init__(
        self, fetch: Callable[[str], dict[str, Any]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """fetch: a JSON document by its URL; runs in a thread."""
        self._fetch = fetch
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, dict[str, jwt.PyJWK]]] = {}
        self._failed: dict[str, float] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def find(self, issuer: str, key_id: str) -> jwt.PyJWK:
        """Raises Unauthorized."""
        async with self._fetching.setdefault(issuer, asyncio.Lock()):
            fetched_at_s, known = self._known.get(issuer, (-KEYS_LIVE_S, {}))
            age_s = self._monotonic() - fetched_at_s
            if age_s >= KEYS_LIVE_S or (key_id not in known and age_s >= ASK_AGAIN_S):
                known = await self._asked(issuer)
        try:
            return known[key_id]
        except KeyError as exc:
            raise Unauthorized("unable to find a signing key that matches") from exc

    async def _asked(self, issuer: str) -> dict[str, jwt.PyJWK]:
        if self._monotonic() < self._failed.get(issuer, -LEFT_ALONE_S) + LEFT_ALONE_S:
            raise Unauthorized(_NO_ANSWER)
        try:
            known = await asyncio.to_thread(self._load, issuer)
        except Unauthorized:
            self._failed[issuer] = self._monotonic()
            raise
        self._known[issuer] = (self._monotonic(), known)
        return known

    def _load(self, issuer: str) -> dict[str, jwt.PyJWK]:
        try:
            found = self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            keys = self._fetch(found["jwks_uri"])["keys"]
        except (Unreachable, urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError) as exc:
            raise Unauthorized(_NO_ANSWER) from exc
        usable = {}
        for one in keys:
            try:
                usable[one["kid"]] = jwt.PyJWK(one)
            except (jwt.PyJWTError, KeyError, TypeError):
                continue  # of a kind that is not used here
        return usable


def fetch_json(url: str, allowed: str | None) -> dict[str, Any]:
    """allowed: private addresses that may be asked. Raises Unreachable, urllib3's HTTPError, ValueError."""
    pool, target = open_pool(url, allowed, FETCH_S)
    path = f"{target.path or '/'}?{target.query}" if target.query else target.path or "/"
    with pool:
        answer = pool.urlopen("GET", path, headers={"Host": target.netloc}, redirect=False, preload_content=False)
        if answer.status != 200:
            raise ValueError(f"{url} answered {answer.status}")
        return orjson.loads(answer.read(MAX_DOCUMENT_BYTES))


async def claims_of(
    token: str | None, keys: IssuerKeys, *, issuer: str, audience: Sequence[str], scopes: Sequence[str]
) -> tuple[dict[str, Any], list[str] | None]:
    """The token's claims, and its scopes if the route asks for any. Raises Unauthorized, Forbidden."""
    if not token:
        raise Unauthorized("")
    if token[:7].lower() == "bearer ":
        token = token[7:]
    try:
        header = jwt.get_unverified_header(token)
        key = await keys.find(issuer, str(header.get("kid")))
        claims = jwt.decode(token, key, algorithms=list(ALGORITHMS), issuer=issuer, options={"verify_aud": False})
    except jwt.ExpiredSignatureError as exc:
        raise Unauthorized("the token has expired") from exc
    except jwt.InvalidIssuerError as exc:
        raise Unauthorized("invalid issuer") from exc
    except jwt.PyJWTError as exc:
        raise Unauthorized("the token is malformed or its signature is not valid") from exc
    _check_audience(claims, audience)
    if not scopes:
        return claims, None
    held = _scopes(claims)
    if not set(held) & set(scopes):
        raise Forbidden
    return claims, held


def shown(claims: dict[str, Any]) -> dict[str, str]:
    """As the event carries them: every value a string, a list as [a b]."""
    return {name: _shown(value) for name, value in claims.items()}


def _shown(value: Any) -> str:
    match value:
        case str():
            return value
        case list():
            return f"[{' '.join(map(_shown, value))}]"
    return orjson.dumps(value).decode()


def _check_audience(claims: dict[str, Any], audience: Sequence[str]) -> None:
    """`client_id` stands in where there is no `aud`, as in Cognito's access tokens."""
    given = claims.get("aud", claims.get("client_id"))
    if not set(given if isinstance(given, list) else [given]) & set(audience):
        raise Unauthorized("the token does not have a valid audience")


def _scopes(claims: dict[str, Any]) -> list[str]:
    given = claims.get("scope", claims.get("scp", ""))
    return [str(one) for one in given] if isinstance(given, list) else str(given).split()
