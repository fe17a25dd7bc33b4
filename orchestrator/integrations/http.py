"""`http:invoke`: calls to any HTTPS API, authorised by an EventBridge connection, whose secret is in Secrets Manager.

Both are asked of whoever serves them. An answer of 400 and above fails the task as States.Http.StatusCode.NNN; what
never became an answer as States.Http.Socket. Source: Step Functions Developer Guide, "Call HTTPS APIs".
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import orjson
import urllib3

from hearth.aws_clients import AwsClients
from hearth.clock import Deadline
from hearth.errors import HearthError
from orchestrator.integrations import TaskCall, TaskError
from orchestrator.integrations.http_request import Authorization, HttpRequest, InvalidRequest, basic, build_request

#: no HTTP task takes longer
LONGEST_S = 60.0
#: of an answer; more is a failure
MAX_BODY_BYTES = 262_144
_THREADS = 16
_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    reason: str
    headers: dict[str, list[str]]
    body: str

    def result(self) -> dict[str, Any]:
        try:
            body = orjson.loads(self.body) if self.body else ""
        except orjson.JSONDecodeError:
            body = self.body
        return {
            "Headers": self.headers,
            "ResponseBody": body,
            "StatusCode": self.status,
            "StatusText": self.reason or _phrase(self.status),
        }


class Http:
    def __init__(self, aws: AwsClients) -> None:
        self._aws = aws
        self._pool = urllib3.PoolManager(num_pools=64, retries=False)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="http")

    async def call(self, task: TaskCall) -> str:
        _, response = await self.exchange(task)
        if response.status >= 400:
            raise TaskError(f"States.Http.StatusCode.{response.status}", response.body)
        return orjson.dumps(response.result()).decode()

    async def exchange(self, task: TaskCall) -> tuple[HttpRequest, HttpResponse]:
        """What was sent and what came back. Raises TaskError."""
        deadline = Deadline.after(LONGEST_S)
        added = await self._authorization(task, deadline)
        try:
            request = build_request(task.parameters, added, task.region)
        except InvalidRequest as exc:
            raise _unusable(task, str(exc)) from exc
        if task.inspection is not None:
            task.inspection["request"] = _shown_request(request, added, reveal=task.inspection.get("revealSecrets"))
        response = await self._send(request, deadline)
        if task.inspection is not None:
            task.inspection["response"] = _shown_response(request, response)
        return request, response

    async def _send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        try:
            async with deadline.scope():
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._send_blocking, request)
        except TimeoutError as exc:
            raise TaskError("States.Timeout", None) from exc
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise TaskError("States.Http.Socket", str(exc)) from exc

    def _send_blocking(self, request: HttpRequest) -> HttpResponse:
        _refuse_link_local(request.url)
        answer = self._pool.request(
            request.method,
            request.url,
            body=None if request.body is None else request.body.encode(),
            headers=request.headers,
            redirect=False,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=LONGEST_S),
            preload_content=False,
        )
        try:
            body = answer.read(MAX_BODY_BYTES + 1, decode_content=True)
        finally:
            answer.release_conn()
        if len(body) > MAX_BODY_BYTES:
            raise OSError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
        headers: dict[str, list[str]] = {}
        for name, value in answer.headers.items():
            headers.setdefault(name, []).append(value)
        return HttpResponse(answer.status, answer.reason or "", headers, body.decode("utf-8", "replace"))

    async def _authorization(self, task: TaskCall, deadline: Deadline) -> Authorization:
        arn = _connection_arn(task)
        where: dict[str, Any] = {"account": task.account, "region": task.region, "deadline": deadline}
        try:
            name = arn.split(":connection/", 1)[1].split("/")[0]
            connection = await self._aws.call("events", "DescribeConnection", **where, Name=name)
            secret_arn = str(connection.get("SecretArn", ""))
            answer = await self._aws.call("secretsmanager", "GetSecretValue", **where, SecretId=secret_arn)
            secret = orjson.loads(answer["SecretString"])
        except (HearthError, IndexError, KeyError, orjson.JSONDecodeError) as exc:
            raise TaskError("Events.ConnectionResource.InvalidConnectionState", f"{arn}: {exc}") from exc
        invocation = secret.get("invocation_http_parameters") or {}
        headers = _parameters(invocation.get("header_parameters"))
        match connection.get("AuthorizationType"):
            case "API_KEY":
                headers.append((secret["api_key_name"], secret["api_key_value"]))
            case "BASIC":
                headers.append(("Authorization", basic(secret["username"], secret["password"])))
            case "OAUTH_CLIENT_CREDENTIALS":
                headers.append(("Authorization", f"Bearer {await self._token(secret, deadline)}"))
        return Authorization(
            tuple(headers),
            tuple(_parameters(invocation.get("query_string_parameters"))),
            tuple(_parameters(invocation.get("body_parameters"))),
        )

    async def _token(self, secret: dict[str, Any], deadline: Deadline) -> str:
        """An OAuth access token by client credentials."""
        client = secret.get("client_parameters") or secret
        extra = secret.get("oauth_http_parameters") or {}
        form = {
            "grant_type": "client_credentials",
            "client_id": client.get("client_id", ""),
            "client_secret": client.get("client_secret", ""),
            **dict(_parameters(extra.get("body_parameters"))),
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            **dict(_parameters(extra.get("header_parameters"))),
        }
        query = urlencode(_parameters(extra.get("query_string_parameters")))
        url = f"{secret.get('authorization_endpoint', '')}{'?' if query else ''}{query}"
        response = await self._send(
            HttpRequest(secret.get("http_method", "POST"), url, headers, urlencode(form)), deadline
        )
        try:
            return str(orjson.loads(response.body)["access_token"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
            cause = f"The authorization endpoint answered {response.status} without an access token."
            raise TaskError("Events.ConnectionResource.AuthorizationFailed", cause) from exc


def _connection_arn(task: TaskCall) -> str:
    for holder in ("InvocationConfig", "Authentication"):
        given = task.parameters.get(holder)
        if isinstance(given, dict) and isinstance(given.get("ConnectionArn"), str):
            return str(given["ConnectionArn"])
    raise _unusable(task, "The field 'ConnectionArn' is required but was missing")


def _unusable(task: TaskCall, reason: str) -> TaskError:
    shown = orjson.dumps(task.parameters).decode()
    return TaskError("States.Runtime", f"The Parameters '{shown}' could not be used to start the Task: [{reason}]")


def _parameters(given: Any) -> list[tuple[str, str]]:
    """A connection's parameters: objects with key and value."""
    found = []
    for one in given or ():
        lowered = {name.lower(): value for name, value in one.items()}
        found.append((str(lowered.get("key", "")), str(lowered.get("value", ""))))
    return found


def _shown_request(request: HttpRequest, added: Authorization, *, reveal: object) -> dict[str, Any]:
    """As TestState shows it: what the connection added is hidden unless it is asked for."""
    url, body, headers = request.url, request.body or "", dict(request.headers)
    if not reveal:
        headers = {name: value for name, value in headers.items() if name not in dict(added.headers)}
        for _, value in (*added.query, *added.body):
            if value:
                url, body = url.replace(quote_plus(value), "***"), body.replace(value, "***")
    return {
        "protocol": urlsplit(request.url).scheme,
        "method": request.method,
        "url": url,
        "headers": _shown_headers(headers.items()),
        "body": body,
    }


def _shown_response(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    return {
        "protocol": urlsplit(request.url).scheme,
        "statusCode": str(response.status),
        "statusMessage": response.reason or _phrase(response.status),
        "headers": _shown_headers((name, ", ".join(values)) for name, values in response.headers.items()),
        "body": response.body,
    }


def _shown_headers(headers: Iterable[tuple[str, str]]) -> str:
    return f"[{', '.join(f'{name}: {value}' for name, value in headers)}]"


def _refuse_link_local(url: str) -> None:
    """The metadata service of a cloud's host gives its credentials to whoever asks. Raises OSError."""
    parts = urlsplit(url)
    for *_, address in socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM):
        if ipaddress.ip_address(str(address[0]).partition("%")[0]).is_link_local:
            raise OSError(f"{parts.hostname} is a link-local address")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
