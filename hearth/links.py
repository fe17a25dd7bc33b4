"""Signed links: what the gateway serves to those that hold one, made by the platform's own processes.

A link ends with `expires` (epoch seconds) and `signature`, which covers all before them.
    GET CODE_PATH<sha256>                                 a code package
    PUT SEGMENTS_PATH<name>?offset=N&sha256=HEX           a piece of a log segment, for workers on other hosts
"""

from __future__ import annotations

from urllib.parse import quote

from hearth.credentials import link_is_good, sign_link

CODE_PATH = "/_hearth/code/"
SEGMENTS_PATH = "/_hearth/segments/"
#: hosts' clocks may differ by about as much
LIFE_S = 600


def code_path(secret: bytes, sha256: str, *, now_s: float) -> str:
    path = CODE_PATH + sha256
    expires_at_s = int(now_s) + LIFE_S
    return f"{path}?expires={expires_at_s}&signature={sign_link(secret, path, expires_at_s)}"


def segment_path(secret: bytes, name: str, offset: int, sha256: str, *, now_s: float) -> str:
    """name: the segment's path below the blob root. offset, sha256: where the body belongs in it, and its hash."""
    target = f"{SEGMENTS_PATH}{quote(name)}?offset={offset}&sha256={sha256}"
    expires_at_s = int(now_s) + LIFE_S
    return f"{target}&expires={expires_at_s}&signature={sign_link(secret, target, expires_at_s)}"


def segment_is_signed(
    secret: bytes, path: str, offset: str, sha256: str, expires: str, signature: str, *, now_s: float
) -> bool:
    """path: as it stands in the request, still quoted."""
    if not (offset.isdecimal() and expires.isdecimal()):
        return False
    target = f"{path}?offset={offset}&sha256={sha256}"
    return link_is_good(secret, target, int(expires), signature, now_s=now_s)
