"""Calls that Hearth itself makes to AWS services: destinations, code in S3, workflow tasks, queue pollers.

`AwsClients.call("sqs", "SendMessage", account=…, region=…, deadline=…, QueueUrl=…)` goes to whoever serves the service
(`hearth.aws_endpoints`); calls to services that Hearth runs come back to it, signed for the account or the role given.
botocore blocks, so calls run on a bounded number of threads of their own; whoever waits stops at the deadline, while
the thread ends at botocore's time-outs. botocore retries nothing here: who calls decides that.

Keys: to Hearth, the platform's own or those of `role`; elsewhere what botocore finds (environment, configuration,
instance role), else the account's number as access key and `test` as secret, which the field's emulators take.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError, UnknownServiceError

from hearth.aws_endpoints import AwsEndpoints, canonical, unserved
from hearth.clock import Deadline
from hearth.credentials import Session, mint
from hearth.errors import HearthError
from hearth.settings import Settings

T = TypeVar("T")

#: calls that run at once, in a process
THREADS = 16
#: of an answer that streams (an S3 object): no more is read
MAX_BODY_BYTES = 256 * 2**20
_CONNECT_S = 5
_READ_S = 60
#: of the credentials that calls to Hearth itself are signed with
_SESSION_S = 3600
_CLIENTS = 256


class ServiceNotServed(HearthError):
    """Nobody serves the service. Nothing was sent."""

    code, status = "ServiceNotServedException", 400


class AwsCallFailed(HearthError):
    """The service answered with an error: `code`, `status` and `message` are its own. botocore's judgement of
    parameters is one too, with code ParamValidationError: nothing was sent then."""

    def __init__(
        self,
        service: str,
        operation: str,
        code: str,
        status: int,
        message: str,
        *,
        shape: str = "",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """shape: the error's name in the service's model, "" if it has none; metadata: botocore's, of the answer."""
        super().__init__(message)
        self.service, self.operation = service, operation
        self.code = code  # type: ignore[misc]
        self.status = status  # type: ignore[misc]
        self.shape = shape
        self.metadata = metadata or {}

    def __str__(self) -> str:
        return f"{self.service}:{self.operation}: {self.code}: {self.message}"


class AwsUnreachable(HearthError):
    """No answer came: it may have been done. A retry is safe only if the operation is idempotent."""

    code, status, retryable = "ServiceUnavailable", 503, True


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answered call. metadata: botocore's RequestId, HTTPHeaders, HTTPStatusCode; model: the operation's."""

    answer: dict[str, Any]
    metadata: dict[str, Any]
    model: Any


class AwsClients:
    """One per process; `close` at its end. Thread-safe."""

    def __init__(self, settings: Settings, secret: bytes, *, threads: int = THREADS) -> None:
        """secret: the platform's (`hearth.credentials.platform_secret`)."""
        self.endpoints = AwsEndpoints(settings)
        self._secret = secret
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="aws")
        self._making = threading.Lock()
        self._client = functools.lru_cache(maxsize=_CLIENTS)(self._make)

    def close(self) -> None:
        """Calls that nobody awaits any more are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def call(
        self,
        service: str,
        operation: str,
        /,
        *,
        account: str,
        region: str,
        deadline: Deadline,
        role: str = "",
        **parameters: Any,
    ) -> dict[str, Any]:
        """The operation's output, without ResponseMetadata; a streaming body as bytes.

        service: botocore's name of it (`stepfunctions`); operation: as in its API reference (`StartExecution`).
        role: ARN of the role on whose behalf; "": the platform itself, which may do everything in the account.

        Raises ServiceNotServed, AwsCallFailed, AwsUnreachable (also when the deadline passes).
        """
        work = functools.partial(self.call_blocking, service, operation, account, region, role, parameters)
        return await self._in_thread(work, service, operation, deadline)

    async def call_elsewhere(
        self, service: str, operation: str, /, *, account: str, region: str, deadline: Deadline, **parameters: Any
    ) -> dict[str, Any]:
        """`call` of another server's service, though this platform runs one, too."""
        work = functools.partial(self.call_blocking, service, operation, account, region, "", parameters, True)
        return await self._in_thread(work, service, operation, deadline)

    async def _in_thread(self, work: Callable[[], T], service: str, operation: str, deadline: Deadline) -> T:
        try:
            async with deadline.scope():
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as exc:
            raise AwsUnreachable(f"{service}:{operation}: no answer within {deadline.budget_s:g} s") from exc

    def call_blocking(
        self,
        service: str,
        operation: str,
        account: str,
        region: str,
        role: str,
        parameters: dict[str, Any],
        elsewhere: bool = False,
    ) -> dict[str, Any]:
        """`call` for code that has a thread of its own already."""
        return self._exchange(service, operation, account, region, role, lambda _: parameters, elsewhere).answer

    async def exchange(
        self,
        service: str,
        operation: str,
        /,
        *,
        account: str,
        region: str,
        deadline: Deadline,
        role: str = "",
        parameters: Callable[[Any], dict[str, Any]],
    ) -> Exchange:
        """`call` for who works with the operation's model: parameters gets it, on the call's thread."""
        work = functools.partial(self._exchange, service, operation, account, region, role, parameters)
        return await self._in_thread(work, service, operation, deadline)

    def _exchange(
        self,
        service: str,
        operation: str,
        account: str,
        region: str,
        role: str,
        parameters: Callable[[Any], dict[str, Any]],
        elsewhere: bool = False,
    ) -> Exchange:
        client = None
        try:
            client = self.client(service, account, region, role, elsewhere)
            method = getattr(client, xform_name(operation), None)
            if method is None:
                raise AwsCallFailed(service, operation, "UnknownOperation", 400, "botocore knows no such operation")
            model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method.__name__])
            answer = method(**parameters(model))
            metadata = answer.pop("ResponseMetadata", {})
            whole = {name: _whole(value, service, operation) for name, value in answer.items()}
            return Exchange(whole, metadata, model)
        except ParamValidationError as exc:
            raise AwsCallFailed(service, operation, "ParamValidationError", 400, str(exc)) from exc
        except ClientError as exc:
            error, metadata = exc.response.get("Error", {}), exc.response.get("ResponseMetadata", {})
            code, message = error.get("Code", "Unknown"), error.get("Message", "")
            shape = client.meta.service_model.shape_for_error_code(code) if client is not None else None
            raise AwsCallFailed(
                service,
                operation,
                code,
                metadata.get("HTTPStatusCode", 500),
                message,
                shape=shape.name if shape is not None else "",
                metadata=metadata,
            ) from exc
        except UnknownServiceError as exc:
            raise AwsCallFailed(service, operation, "UnknownService", 400, "botocore knows no such service") from exc
        except (BotoCoreError, OSError) as exc:
            raise AwsUnreachable(f"{service}:{operation}: {exc}") from exc

    def client(self, service: str, account: str, region: str, role: str = "", elsewhere: bool = False) -> Any:
        """A botocore client, shared by all threads. Blocking when it is made. Raises ServiceNotServed."""
        own = canonical(service) in self.endpoints.here and not elsewhere
        life = int(time.time()) // (_SESSION_S // 2)  # another client before the credentials of this one end
        with self._making:
            return self._client(service, account, region, role, life if own else 0, elsewhere)

    @functools.cached_property
    def _session(self) -> Any:
        import botocore.session  # slow and large: only a process that calls somebody pays for it

        return botocore.session.Session()

    def _make(self, service: str, account: str, region: str, role: str, life: int, elsewhere: bool) -> Any:
        endpoint = self.endpoints.elsewhere(service, region) if elsewhere else self.endpoints.of(service, region)
        if endpoint is None:
            raise ServiceNotServed(unserved(service))
        return self._session.create_client(
            service,
            region_name=region,
            endpoint_url=endpoint,
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                retries={"total_max_attempts": 1},
                max_pool_connections=THREADS,
                # answers show what was asked for, as those of the service's own callers do
                response_checksum_validation="when_required",
                s3={"addressing_style": "auto" if "amazonaws.com" in endpoint else "path"},
            ),
            **self._keys("" if elsewhere else canonical(service), account, region, role),
        )

    def _keys(self, name: str, account: str, region: str, role: str) -> dict[str, str]:
        if name in self.endpoints.here:
            expires_at_s = int(time.time()) + _SESSION_S
            minted = mint(self._secret, Session(account, region, role, "hearth", expires_at_s))
            return {
                "aws_access_key_id": minted.access_key_id,
                "aws_secret_access_key": minted.secret_access_key,
                "aws_session_token": minted.session_token,
            }
        if self._session.get_credentials() is not None:
            return {}
        return {"aws_access_key_id": account, "aws_secret_access_key": "test"}


def _whole(value: Any, service: str, operation: str) -> Any:
    if not hasattr(value, "read"):
        return value
    body = value.read(MAX_BODY_BYTES + 1)
    value.close()
    if len(body) > MAX_BODY_BYTES:
        raise AwsCallFailed(service, operation, "EntityTooLarge", 400, f"more than {MAX_BODY_BYTES} bytes")
    return body
