"""Plain HTTP to a platform's front doors: by host name, without asking any resolver for it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.stack import PlatformStack

_READ_S = 60.0


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def fetch(
    stack: PlatformStack,
    url: str,
    *,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
) -> Response:
    """url: as the platform tells it, or a path of the platform's own address. Header names come in lower case."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=_READ_S)
    try:
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.putrequest(method, path, skip_host=bool(parts.netloc), skip_accept_encoding=True)
        if parts.netloc:
            connection.putheader("Host", parts.netloc)
        given = list(headers.items()) if isinstance(headers, dict) else headers or []
        data = body.encode() if isinstance(body, str) else body
        if data is not None:
            given.append(("Content-Length", str(len(data))))
        for name, value in given:
            connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        content = answer.read()
        return Response(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            content,
            answer.headers.get_all("Set-Cookie") or [],
        )
    finally:
        connection.close()


def let_in(
    stack: PlatformStack, function: str, source_arn: str = "arn:aws:execute-api:us-east-1:000000000000:*"
) -> str:
    """Permit API Gateway to run a function, as deploy tools do; returns the function's ARN."""
    lambda_ = stack.client("lambda")
    lambda_.add_permission(
        FunctionName=function,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=source_arn,
    )
    return lambda_.get_function_configuration(FunctionName=function)["FunctionArn"]


def open_to_all(stack: PlatformStack, function: str, qualifier: str | None = None) -> None:
    """Permit everybody to call a function's URL with auth type NONE."""
    where = {"FunctionName": function} | ({"Qualifier": qualifier} if qualifier else {})
    stack.client("lambda").add_permission(
        **where, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE"
    )
