"""Whose access key it is: the development key, configured keys, and functions' short-lived credentials."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.http import Request
from hearth.credentials import verify_token
from hearth.errors import AccessDenied, ApiError
from hearth.settings import Settings

DEVELOPMENT_KEY = DEVELOPMENT_SECRET = "test"
#: no name of a host is longer (RFC 1035), with "https://" and a port around it
_LONGEST_URL = 270


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `region` is that of the signature's scope."""

    account: str
    region: str
    #: of the caller's identity, as STS tells it
    arn: str
    user_id: str


class Keys:
    """Looks up access keys; every caller of the API has one."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._secret = secret
        self._account = settings.account
        self._development = settings.development_key and settings.loopback
        self._configured = _configured(settings.access_keys)

    def find(
        self, access_key: str, token: str | None, region: str, request: Request, now_s: float
    ) -> tuple[Caller, str]:
        """The caller and the secret key that must have signed.

        Raises ApiError UnrecognizedClientException, BadToken, TokenExpired, AccessDenied.
        """
        if token is not None and access_key.startswith("ASIA"):
            session, secret = verify_token(self._secret, access_key, token, now_s=now_s)
            if not session.role:
                return _root(session.account, region), secret
            role = session.role.rpartition("/")[2]
            arn = f"arn:aws:sts::{session.account}:assumed-role/{role}/{session.name}"
            return Caller(session.account, region, arn, f"AROA{access_key[4:]}:{session.name}"), secret
        if (known := self._configured.get(access_key)) is not None:
            secret, account = known
            return _root(account, region), secret
        development_account = self._development_account(access_key)
        if development_account is None or request.from_function:
            raise ApiError("UnrecognizedClientException", 403, "The security token included in the request is invalid.")
        refuse_foreign(request)
        return _root(development_account, region), DEVELOPMENT_SECRET

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
