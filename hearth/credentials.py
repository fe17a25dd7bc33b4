"""The platform's secret and what is derived from it: functions' short-lived keys, sealed variables, signed links.

Nothing here is stored but the secret itself: a session token carries its claims and a signature, so that any
gateway can check any worker's, and nothing has to be looked up or cleaned away.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken

from hearth.errors import HearthError, InvariantViolated
from hearth.model.function import FunctionVersion
from hearth.settings import Settings
from hearth.store import Stores, keys

_SECRET_BYTES = 32


class BadToken(HearthError):
    """Not a token of ours, or not one for this key."""

    code, status = "UnrecognizedClientException", 403


class TokenExpired(HearthError):
    code, status = "ExpiredTokenException", 403


@dataclass(frozen=True, slots=True)
class Session:
    """Whom temporary credentials stand for: a role, mostly for a function; without one, the platform itself."""

    account: str
    region: str
    #: ARN; empty: the platform, which may do everything in the account
    role: str
    #: of the session; of a function's credentials: the function's
    name: str
    #: epoch seconds
    expires_at_s: int
    #: JSON of the policy document that narrows what the role may do; empty: nothing does
    policy: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    #: keys of the tags that a role assumed with these credentials has too
    transitive: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sandbox gets as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."""

    access_key_id: str
    secret_access_key: str
    session_token: str


async def platform_secret(settings: Settings, stores: Stores) -> bytes:
    """The secret of the settings, else the one in `state`, which whoever comes first makes. Raises Unavailable."""
    if settings.secret:
        return settings.secret.encode()
    made = await stores.state.run("platform_secret", keys=[keys.SECRET], args=[secrets.token_hex(_SECRET_BYTES)])
    return bytes(made)


def access_key_secret(secret: bytes, access_key_id: str) -> str:
    """The secret key of an access key that the platform has given out; it is stored nowhere."""
    return _text(_mac(secret, "access-key", access_key_id))[:40]


def mint(secret: bytes, session: Session) -> Credentials:
    """Credentials for a session, valid until it expires. Pure: the same session gives the same credentials."""
    claims: list[Any] = [session.account, session.region, session.role, session.name, session.expires_at_s]
    if session.policy or session.tags:
        claims += [session.policy, session.tags, session.transitive]
    body = base64.urlsafe_b64encode(orjson.dumps(claims)).decode()
    return Credentials(
        access_key_id="ASIA" + base64.b32encode(_mac(secret, "key-id", body)).decode()[:16],
        secret_access_key=_session_secret(secret, body),
        session_token=f"{body}.{_text(_mac(secret, 'token', body))}",
    )


def verify_token(secret: bytes, access_key_id: str, token: str, *, now_s: float) -> tuple[Session, str]:
    """The session that a token stands for, and the secret access key that signs for it.

    Raises BadToken, TokenExpired.
    """
    body, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _text(_mac(secret, "token", body)).encode()):
        raise BadToken("The security token included in the request is invalid.")
    try:
        session = Session(*orjson.loads(base64.urlsafe_b64decode(body)))
    except (binascii.Error, ValueError, TypeError) as exc:
        raise InvariantViolated("a session token with a good signature does not parse") from exc
    if not hmac.compare_digest(mint(secret, session).access_key_id.encode(), access_key_id.encode()):
        raise BadToken("The security token included in the request is invalid.")
    if session.expires_at_s <= now_s:
        raise TokenExpired("The security token included in the request is expired")
    return session, _session_secret(secret, body)


class EnvironmentCipher:
    """Seals functions' environment variables at rest. The worker's use is `cipher.unseal(version)`."""

    def __init__(self, secret: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_mac(secret, "environment", "")))

    def seal(self, version: FunctionVersion) -> FunctionVersion:
        """The version with its variables in `sealed_environment` instead of `environment`."""
        sealed = self._fernet.encrypt(orjson.dumps(version.environment)).decode() if version.environment else ""
        return dataclasses.replace(version, environment={}, sealed_environment=sealed)

    def unseal(self, version: FunctionVersion) -> FunctionVersion:
        """The version with its variables in `environment`. Raises InvariantViolated: sealed by another secret."""
        if not version.sealed_environment:
            return version
        try:
            plain = orjson.loads(self._fernet.decrypt(version.sealed_environment))
        except InvalidToken as exc:
            raise InvariantViolated(f"the environment of {version.arn} was sealed with another secret") from exc
        return dataclasses.replace(version, environment=plain, sealed_environment="")


def sign_link(secret: bytes, path: str, expires_at_s: int) -> str:
    """Signature of a link that the gateway itself serves."""
    return _mac(secret, "link", f"{path}\n{expires_at_s}").hex()


def link_is_good(secret: bytes, path: str, expires_at_s: int, signature: str, *, now_s: float) -> bool:
    expected = sign_link(secret, path, expires_at_s)
    return hmac.compare_digest(expected.encode(), signature.encode()) and now_s < expires_at_s


def _session_secret(secret: bytes, body: str) -> str:
    return _text(_mac(secret, "session-secret", body))


def _mac(secret: bytes, purpose: str, text: str) -> bytes:
    return hmac.digest(secret, f"hearth {purpose}\n{text}".encode(), hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
