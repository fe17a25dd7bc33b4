"""Whose access key it is: the development key, configured and created keys, roles' temporary credentials."""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
from urllib.parse import urlsplit

import orjson

from gateway.caller import Caller
from gateway.http import Request
from gateway.identity_cache import IdentityCache
from hearth.credentials import Session, access_key_secret, verify_token
from hearth.errors import AccessDenied, ApiError
from hearth.model.identity import AccessKey
from hearth.policies import Document
from hearth.settings import Settings

DEVELOPMENT_KEY = "test"
DEVELOPMENT_SECRETS = ("test",)
#: of an account's number as access key, for a second account: tools of the field sign with either
ACCOUNT_SECRETS = ("test", "test2")
#: no name of a host is longer (RFC 1035), with "https://" and a port around it
_LONGEST_URL = 270


class Keys:
    """Looks up access keys; every caller of the API has one."""

    def __init__(self, settings: Settings, secret: bytes, identities: IdentityCache) -> None:
        self._secret = secret
        self._account = settings.account
        self._development = settings.development_key and settings.loopback
        self._configured = _configured(settings.access_keys)
        self._identities = identities
        #: what a role may do that has no policy
        self._unsaid: tuple[Document, ...] | None = None if settings.permissive else ()

    def find(
        self, access_key: str, token: str | None, region: str, request: Request, now_s: float
    ) -> tuple[Caller, tuple[str, ...]]:
        """The caller and the secret keys one of which must have signed.

        Raises ApiError UnrecognizedClientException, BadToken, TokenExpired, AccessDenied, Unavailable.
        """
        if token is not None and access_key.startswith("ASIA"):
            session, secret = verify_token(self._secret, access_key, token, now_s=now_s)
            return self._of_session(session, region), (secret,)
        if (known := self._configured.get(access_key)) is not None:
            secret, account = known
            return _root(account, region), (secret,)
        if access_key.startswith("AKIA") and (key := self._identities.access_key(access_key)) is not None:
            return _of_user(key, region), (access_key_secret(self._secret, access_key),)
        development_account = self._development_account(access_key)
        if development_account is None or request.from_function:
            raise ApiError("UnrecognizedClientException", 403, "The security token included in the request is invalid.")
        refuse_foreign(request)
        secrets = DEVELOPMENT_SECRETS if access_key == DEVELOPMENT_KEY else ACCOUNT_SECRETS
        return _root(development_account, region), secrets

    def account_of(self, access_key: str) -> str | None:
        """Whose a long-lived key is; None: nobody's."""
        if (known := self._configured.get(access_key)) is not None:
            return known[1]
        if (key := self._identities.access_key(access_key)) is not None:
            return key.account
        return self._development_account(access_key)

    def _of_session(self, session: Session, region: str) -> Caller:
        if not session.role:
            return _root(session.account, region)
        if ":user/" in session.role:
            key = self._identities.access_key(session.name)
            if key is None:  # deleted since
                raise ApiError(
                    "UnrecognizedClientException", 403, "The security token included in the request is invalid."
                )
            return _of_user(key, region)
        name = session.role.rpartition("/")[2]
        role = self._identities.role(session.account, name)
        return Caller(
            session.account,
            region,
            f"arn:aws:sts::{session.account}:assumed-role/{name}/{session.name}",
            f"{role_id(session.role)}:{session.name}",
            documents=self._unsaid if role is None else role.documents,
            session_document=orjson.loads(session.policy) if session.policy else None,
            tags=session.tags,
            transitive=tuple(session.transitive),
        )

    def _development_account(self, access_key: str) -> str | None:
        if not self._development:
            return None
        if access_key == DEVELOPMENT_KEY:
            return self._account
        return access_key if len(access_key) == 12 and access_key.isdecimal() else None


def refuse_foreign(request: Request) -> None:
    """Refuse what a web page of elsewhere could have sent, by DNS rebinding (Host) or from the page itself (Origin)."""
    if not _is_local_url(f"//{request.headers.get('host', '')}"):
        raise AccessDenied("The development key is not accepted for a request with a foreign Host header.")
    origin = request.headers.get("origin")
    if origin is not None and not _is_local_url(origin):
        raise AccessDenied("The development key is not accepted for a request with a foreign Origin header.")


def is_loopback(host: str) -> bool:
    """A name or an address that can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_local_url(url: str) -> bool:
    return len(url) <= _LONGEST_URL and _names_loopback(url)


@functools.lru_cache(maxsize=1024)
def _names_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def user_id(arn: str) -> str:
    """A stable id in AWS's form for a user that has only a name."""
    return _id("AIDA", arn)


def role_id(arn: str) -> str:
    """A stable id in AWS's form for a role that has only a name."""
    return _id("AROA", arn)


@functools.lru_cache(maxsize=1024)
def _id(prefix: str, arn: str) -> str:
    return prefix + base64.b32encode(hashlib.sha256(arn.encode()).digest()).decode()[:17]


def _of_user(key: AccessKey, region: str) -> Caller:
    return Caller(key.account, region, key.arn, user_id(key.arn), access_key=key.id, documents=key.documents)


@functools.lru_cache(maxsize=1024)
def _root(account: str, region: str) -> Caller:
    return Caller(account, region, f"arn:aws:iam::{account}:root", account)


def _configured(text: str | None) -> dict[str, tuple[str, str]]:
    """KEY:SECRET:ACCOUNT,... A secret may contain ":"."""
    found: dict[str, tuple[str, str]] = {}
    for entry in filter(None, (part.strip() for part in (text or "").split(","))):
        key, _, rest = entry.partition(":")
        secret, _, account = rest.rpartition(":")
        if not (key and secret and len(account) == 12 and account.isdecimal()):
            raise ValueError("HEARTH_ACCESS_KEYS: each entry is KEY:SECRET:ACCOUNT with a 12-digit account")
        found[key] = (secret, account)
    return found
