"""What the gateway's parts pass to one another: one HTTP request read whole, and one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, unquote_plus


@dataclass(slots=True)
class Request:
    """`path` and `query` as they came over the wire (percent-encoded): signatures are computed over them."""

    method: str
    path: str
    query: str
    #: names in lower case; a repeated header's values joined by ","
    headers: dict[str, str]
    body: bytes = b""
    #: `body` is all there is
    body_read: bool = False
    #: came in on the listener for functions, not on the API's
    from_function: bool = False
    _parameters: dict[str, list[str]] | None = field(default=None, repr=False)

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The query string taken apart; every name has at least one value."""
        if self._parameters is None:
            self._parameters = split_query(self.query) if self.query else {}
        return self._parameters


class ByteStream(Protocol):
    """A body that is sent as it comes; whoever sends it closes it, begun or not."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


@dataclass(slots=True)
class Answer:
    """Headers in the form ASGI takes; Content-Length and the request id are added where it is sent."""

    status: int
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    #: sent in place of `body`
    stream: ByteStream | None = None


def split_query(query: str, *, plus_is_space: bool = False) -> dict[str, list[str]]:
    """`a=1&a=2&b` -> {"a": ["1", "2"], "b": [""]}. `plus_is_space`: the rule of HTML forms."""
    decode = unquote_plus if plus_is_space else unquote
    parameters: dict[str, list[str]] = {}
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            parameters.setdefault(decode(name), []).append(decode(value))
    return parameters
