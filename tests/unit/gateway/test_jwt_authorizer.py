"""JWT authorizers against tokens that PyJWT signs with real keys."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.front_doors.jwt_authorizer import Forbidden, IssuerKeys, Unauthorized, claims_of, shown

ISSUER = "https://issuer.example/pool"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def documents(url: str) -> dict[str, Any]:
    if url.endswith("/.well-known/openid-configuration"):
        return {"jwks_uri": f"{ISSUER}/keys"}
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    return {"keys": [{**public, "kid": "one", "use": "sig"}, {"kty": "unknown", "kid": "odd"}]}


def a_token(key: rsa.RSAPrivateKey = KEY, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
    body = {"iss": ISSUER, "aud": "app", "exp": int(time.time()) + 60, "scope": "read write"} | claims
    return jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm, {"kid": kid})


async def checked(token: str | None, *scopes: str, keys: IssuerKeys | None = None) -> Any:
    found = keys or IssuerKeys(documents)
    return await claims_of(token, found, issuer=ISSUER, audience=["app", "other"], scopes=scopes)


async def test_good_tokens_pass() -> None:
    claims, scopes = await checked(f"Bearer {a_token(groups=['a', 'b'], n=1, ok=True)}", "read")
    assert scopes == ["read", "write"]
    assert {"groups": "[a b]", "n": "1", "ok": "true"}.items() <= shown(claims).items()
    assert (await checked(a_token()))[1] is None
    assert await checked(a_token(aud=None, client_id="app"))
    assert await checked(a_token(aud=["x", "other"], scope=None, scp=["read"]), "read")


@pytest.mark.parametrize(
    "token",
    [
        None,
        "Bearer ",
        "no.token.at-all",
        a_token(exp=int(time.time()) - 60),
        a_token(nbf=int(time.time()) + 600),
        a_token(iss="https://elsewhere.example"),
        a_token(aud="stranger"),
        a_token(aud=None),
        a_token(kid="two"),
        a_token(OTHER),
        jwt.encode({"iss": ISSUER, "aud": "app"}, "x" * 32, "HS256", {"kid": "one"}),
        jwt.encode({"iss": ISSUER, "aud": "app"}, None, "none", {"kid": "one"}),
    ],
)
async def test_bad_tokens_do_not(token: str | None) -> None:
    with pytest.raises(Unauthorized):
        await checked(token)


async def test_a_token_without_the_routes_scope_is_forbidden() -> None:
    with pytest.raises(Forbidden):
        await checked(a_token(), "admin")


async def test_keys_are_kept_and_asked_for_again_when_one_is_unknown() -> None:
    asked: list[str] = []
    now = [0.0]

    def fetch(url: str) -> dict[str, Any]:
        asked.append(url)
        return documents(url)

    keys = IssuerKeys(fetch, monotonic=lambda: now[0])
    for _ in range(3):
        await checked(a_token(), keys=keys)
    assert len(asked) == 2
    for at_s, fetched in ((10.0, 2), (40.0, 4), (50.0, 4)):
        now[0] = at_s
        with pytest.raises(Unauthorized):
            await checked(a_token(kid="new"), keys=keys)
        assert len(asked) == fetched
    now[0] = 8000.0
    await checked(a_token(), keys=keys)
    assert len(asked) == 6


async def test_an_issuer_that_does_not_answer_lets_nobody_in_and_is_left_alone_for_a_while() -> None:
    asked: list[str] = []
    now = [0.0]

    def fetch(url: str) -> dict[str, Any]:
        asked.append(url)
        if len(asked) < 3:
            raise OSError("away")
        return documents(url)

    keys = IssuerKeys(fetch, monotonic=lambda: now[0])
    for at_s, fetched in ((0.0, 1), (1.0, 1), (6.0, 2), (7.0, 2)):
        now[0] = at_s
        with pytest.raises(Unauthorized):
            await checked(a_token(), keys=keys)
        assert len(asked) == fetched
    now[0] = 12.0
    assert await checked(a_token(), keys=keys)
