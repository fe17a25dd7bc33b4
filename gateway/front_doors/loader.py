"""APIs from `state`, compiled: what the cache of front doors is filled with."""

from __future__ import annotations

import functools

from gateway.front_doors.http_api import HttpApi
from gateway.front_doors.jwt_authorizer import IssuerKeys, fetch_json
from gateway.front_doors.rest_api import RestApi
from hearth.settings import Settings
from hearth.store.apis import ApiTable

_LOOPBACK = "127.0.0.0/8,::1/128"


class ApiLoader:
    """Compiles APIs from their documents."""

    def __init__(self, apis: ApiTable, settings: Settings) -> None:
        self._apis = apis
        # where everybody is on this machine, so may the issuer of their tokens be
        allowed = ",".join(filter(None, (settings.egress_allow, _LOOPBACK if settings.loopback else None)))
        self._keys = IssuerKeys(functools.partial(fetch_json, allowed=allowed))

    async def __call__(self, api_id: str, kept: HttpApi | RestApi | None) -> HttpApi | RestApi | None:
        """Raises Unavailable."""
        if kept is not None and await self._apis.revision(api_id) == kept.revision:
            return kept
        record = await self._apis.get(api_id)
        if record is None:
            return None
        if record.kind == "REST":
            deployed = {stage["deploymentId"] for stage in record.document["stages"].values()}
            return RestApi(record, await self._apis.snapshots(api_id, deployed))
        stages = [stage for stage in record.document["Stages"].values() if not stage.get("AutoDeploy")]
        deployed = {stage["DeploymentId"] for stage in stages if stage.get("DeploymentId")}
        return HttpApi(record, await self._apis.snapshots(api_id, deployed), self._keys)
