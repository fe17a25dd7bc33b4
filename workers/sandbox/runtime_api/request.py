"""One request of the runtime, as its endpoint sees it."""

from __future__ import annotations

from dataclasses import dataclass

CONTENT_TYPE = b"content-type"
ERROR_TYPE = b"lambda-runtime-function-error-type"
ERROR_BODY = b"lambda-runtime-function-error-body"
RESPONSE_MODE = b"lambda-runtime-function-response-mode"
EXPECT = b"expect"
EXTENSION_NAME = b"lambda-extension-name"
EXTENSION_ID = b"lambda-extension-identifier"
EXTENSION_ERROR_TYPE = b"lambda-extension-function-error-type"
ACCEPT_FEATURE = b"lambda-extension-accept-feature"
#: the headers and trailers that any endpoint reads; others are not kept
WANTED = frozenset(
    {
        CONTENT_TYPE,
        ERROR_TYPE,
        ERROR_BODY,
        RESPONSE_MODE,
        EXPECT,
        EXTENSION_NAME,
        EXTENSION_ID,
        EXTENSION_ERROR_TYPE,
        ACCEPT_FEATURE,
    }
)


@dataclass(slots=True)
class Request:
    method: bytes
    path: bytes
    #: lower-case names of WANTED only; trailers of a chunked body are among them
    headers: dict[bytes, bytes]
    chunks: list[bytes]
    #: the body goes to the sink piece by piece, and is not in `chunks`; so many bytes have
    live: bool = False
    streamed: int = 0
    #: the body went over the limit; `chunks` is empty then
    oversized: bool = False
    #: from the path of response and error
    request_id: str = ""
    #: monotonic time of its first byte
    began_s: float = 0.0

    @property
    def body(self) -> bytes:
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    def text(self, name: bytes, default: str = "") -> str:
        value = self.headers.get(name)
        return default if value is None else value.decode("utf-8", "replace")
