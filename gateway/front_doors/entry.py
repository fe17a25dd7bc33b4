"""Which requests are for a front door rather than for the AWS APIs: by host name, or by path.

<url id>.lambda-url.<region>.<any domain>/...          /_aws/lambda-url/<url id>/...
<api id>.execute-api.<region>.<any domain>/...         /_aws/execute-api/<api id>/...
                                                       /restapis/<api id>/<stage>/_user_request_/...
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from gateway.http import Request

_PREFIXES = ("/_aws/", "/restapis/")
_HOST = re.compile(r"([a-z0-9-]{1,63})\.(lambda-url|execute-api)\.[a-z0-9-]+\.[a-z0-9.-]+(?::\d+)?", re.IGNORECASE)
_PATH = re.compile(r"/_aws/(lambda-url|execute-api)/([^/]+)(/.*)?")
_USER_REQUEST = re.compile(r"/restapis/([^/]+)/([^/]+)/_user_request_(/.*)?")


class Kind(enum.StrEnum):
    URL = "lambda-url"
    API = "execute-api"


@dataclass(frozen=True, slots=True)
class Entry:
    """path: percent-encoded, below the door; that of an API begins with the stage, unless it is the default one."""

    kind: Kind
    id: str
    path: str
    #: came by host name
    by_host: bool


def entry_of(request: Request) -> Entry | None:
    """None: the request is none of the front doors' business, which is found out by three looks at two strings."""
    host = request.headers.get("host", "")
    if ".lambda-url." in host or ".execute-api." in host:
        named = _HOST.fullmatch(host)
        if named is not None:
            return Entry(Kind(named[2].lower()), named[1].lower(), request.path, by_host=True)
    if request.path.startswith(_PREFIXES):
        if below := _PATH.fullmatch(request.path):
            return Entry(Kind(below[1]), below[2], below[3] or "/", by_host=False)
        if below := _USER_REQUEST.fullmatch(request.path):
            return Entry(Kind.API, below[1], f"/{below[2]}{below[3] or '/'}", by_host=False)
    return None
