"""An event as the answer to Next."""

from __future__ import annotations

from hearth.model.invocation import Invocation


def render(invocation: Invocation, deadline_ms: int) -> bytes:
    """Status line and headers of an event; a header is left out if it has no value."""
    optional = ""
    if invocation.trace_id:
        optional = f"Lambda-Runtime-Trace-Id: {_line(invocation.trace_id)}\r\n"
    if invocation.client_context:
        optional += f"Lambda-Runtime-Client-Context: {_line(invocation.client_context)}\r\n"
    if invocation.cognito_identity:
        optional += f"Lambda-Runtime-Cognito-Identity: {_line(invocation.cognito_identity)}\r\n"
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {_line(invocation.content_type) or 'application/json'}\r\n"
        f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: {_line(invocation.invoked_arn)}\r\n"
        f"{optional}Content-Length: {len(invocation.payload)}\r\n\r\n"
    ).encode()


def _line(value: str) -> str:
    """Caller's text as one header line: a line break would end the header (the client context is often indented)."""
    return " ".join(value.splitlines()) if "\n" in value or "\r" in value else value
