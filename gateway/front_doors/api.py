"""What HTTP APIs and REST APIs have in common: what they are called, whom they let in, and what they call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.caller import Caller
from gateway.front_doors import functions, http_proxy
from gateway.front_doors.authorizers import ACTION
from gateway.front_doors.door_request import DoorRequest
from gateway.front_doors.function_uri import function_of
from gateway.front_doors.response import HttpResponse
from gateway.ids import new_request_id
from hearth.errors import AccessDenied
from hearth.model.invocation import InvocationResult
from hearth.store.apis import ApiRecord

if TYPE_CHECKING:
    from gateway.backends import Backends

#: API Gateway takes this much, a function less
MAX_BODY_BYTES = 10 * 2**20
AUTHORIZER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ApiName:
    """An API as policies and functions know it."""

    account: str
    region: str
    id: str

    @classmethod
    def of(cls, record: ApiRecord) -> ApiName:
        return cls(record.account, record.region, record.id)

    @property
    def arn(self) -> str:
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.id}"

    def signed_by(self, backends: Backends, request: DoorRequest, method_arn: str) -> Caller:
        """Who signed the request. Raises HearthError: nobody, or one who may not."""
        caller = backends.verifier.verify(request.signed, "execute-api")
        caller.check(ACTION, method_arn)
        if caller.account != self.account:
            raise AccessDenied()
        return caller

    async def run(
        self,
        backends: Backends,
        request: DoorRequest,
        uri: str,
        variables: Mapping[str, str],
        event: dict[str, Any],
        *,
        arns: tuple[str, ...],
        role: str,
        timeout_s: float,
    ) -> InvocationResult:
        """Run an integration's function. arns: what its policy may call the route; role: see `functions.Source`.

        Raises BadUri, FunctionMissing, PayloadTooLarge, InvocationTimedOut, other HearthErrors.
        """
        return await functions.run(
            backends,
            function_of(uri, variables),
            event,
            request_id=new_request_id(),
            trace_id=request.trace_id,
            timeout_s=timeout_s,
            source=functions.Source(self.account, arns, role),
        )

    async def ask(
        self,
        backends: Backends,
        request: DoorRequest,
        authorizer_id: str,
        uri: str,
        variables: Mapping[str, str],
        event: dict[str, Any],
        *,
        role: str,
    ) -> InvocationResult:
        """Run an authorizer's function. Raises what `run` raises."""
        arns = (f"{self.arn}/authorizers/{authorizer_id}",)
        return await self.run(
            backends, request, uri, variables, event, arns=arns, role=role, timeout_s=AUTHORIZER_TIMEOUT_S
        )


async def forward(
    backends: Backends,
    request: DoorRequest,
    uri: str,
    method: str,
    *,
    parameters: Mapping[str, str],
    variables: Mapping[str, str],
    timeout_s: float,
) -> HttpResponse:
    """To an integration's HTTP server. method: ANY for the request's own. Raises Unreachable, http_proxy.TimedOut."""
    return await http_proxy.forward(
        request,
        http_proxy.filled(uri, parameters, variables),
        method=request.method if method == "ANY" else method,
        timeout_s=timeout_s,
        allowed=backends.settings.egress_allow,
    )
