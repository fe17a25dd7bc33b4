"""APIs from `state`, compiled: what the cache of front doors is filled with."""

from __future__ import annotations

from gateway.front_doors.http_api import HttpApi
from gateway.front_doors.jwt_authorizer import IssuerKeys
from gateway.front_doors.rest_api import RestApi
from hearth.store.apis import ApiTable


class ApiLoader:
    """Compiles APIs from their documents."""

    def __init__(self, apis: ApiTable) -> None:
        self._apis = apis
        self._keys = IssuerKeys()

    async def __call__(self, api_id: str) -> HttpApi | RestApi | None:
        """Raises Unavailable."""
        record = await self._apis.get(api_id)
        if record is None:
            return None
        if record.kind == "REST":
            deployed = {stage["deploymentId"] for stage in record.document["stages"].values()}
            return RestApi(record, await self._apis.snapshots(api_id, deployed))
        stages = [stage for stage in record.document["Stages"].values() if not stage.get("AutoDeploy")]
        deployed = {stage["DeploymentId"] for stage in stages if stage.get("DeploymentId")}
        return HttpApi(record, await self._apis.snapshots(api_id, deployed), self._keys)
