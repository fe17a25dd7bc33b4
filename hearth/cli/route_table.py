"""HTTP routes through the apigatewayv2 operations: what `hearth routes` lists and changes is what any tool sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hearth.cli.client import ApiFailed
from hearth.cli.endpoint import Access

DEFAULT_STAGE = "$default"


@dataclass(frozen=True, slots=True)
class RouteEntry:
    api: str
    api_id: str
    route_id: str
    key: str
    #: the function's name with its qualifier, or the URL that it goes to; "" if nothing is behind it
    target: str
    #: of the API, without a path
    endpoint: str
    #: where it is reached without any name to look up
    path_form: str


class RouteTable:
    """Raises ApiFailed, whose text is for people."""

    def __init__(self, found: Access) -> None:
        self._endpoint = found.endpoint
        options: dict[str, Any] = {
            "endpoint_url": found.endpoint,
            "region_name": found.region,
            "aws_access_key_id": found.key,
            "aws_secret_access_key": found.secret,
            "config": Config(retries={"total_max_attempts": 1}),
        }
        session = botocore.session.get_session()
        self._apis = session.create_client("apigatewayv2", **options)
        self._lambda = session.create_client("lambda", **options)

    def entries(self) -> list[RouteEntry]:
        return [entry for api in self._all(self._apis.get_apis) for entry in self._entries_of(api)]

    def add(self, key: str, function: str, api_name: str) -> RouteEntry:
        """A route to a function, in the API of that name, which is made if there is none.

        A route with this key that is there already is moved to the function.
        """
        configuration = self._call(self._lambda.get_function_configuration, FunctionName=function)
        api = self._find(api_name) or self._create(api_name)
        where = {"ApiId": api["ApiId"]}
        integration = self._call(
            self._apis.create_integration,
            **where,
            IntegrationType="AWS_PROXY",
            IntegrationUri=configuration["FunctionArn"],
            PayloadFormatVersion="2.0",
        )
        self._let_in(configuration["FunctionArn"], api["ApiId"])
        target = f"integrations/{integration['IntegrationId']}"
        old = next((one for one in self._all(self._apis.get_routes, **where) if one["RouteKey"] == key), None)
        if old is None:
            route = self._call(self._apis.create_route, **where, RouteKey=key, Target=target)
        else:
            route = self._call(self._apis.update_route, **where, RouteId=old["RouteId"], Target=target)
            self._drop_integration(where, old)
        return next(entry for entry in self._entries_of(api) if entry.route_id == route["RouteId"])

    def delete(self, key: str, api_name: str) -> None:
        api = self._find(api_name)
        where = {"ApiId": api["ApiId"]} if api else {}
        routes = self._all(self._apis.get_routes, **where) if api else []
        route = next((one for one in routes if one["RouteKey"] == key), None)
        if route is None:
            raise ApiFailed(f"There is no route {key} in the API {api_name}.")
        self._call(self._apis.delete_route, **where, RouteId=route["RouteId"])
        self._drop_integration(where, route)

    def _entries_of(self, api: dict[str, Any]) -> list[RouteEntry]:
        where = {"ApiId": api["ApiId"]}
        integrations = {one["IntegrationId"]: one for one in self._all(self._apis.get_integrations, **where)}
        entries = []
        for route in self._all(self._apis.get_routes, **where):
            integration = integrations.get(route.get("Target", "").removeprefix("integrations/"), {})
            uri = integration.get("IntegrationUri", "").removesuffix("/invocations")
            entries.append(
                RouteEntry(
                    api=api["Name"],
                    api_id=api["ApiId"],
                    route_id=route["RouteId"],
                    key=route["RouteKey"],
                    target=uri.partition(":function:")[2] or uri,
                    endpoint=api["ApiEndpoint"],
                    path_form=f"{self._endpoint}/_aws/execute-api/{api['ApiId']}/{DEFAULT_STAGE}",
                )
            )
        return entries

    def _find(self, name: str) -> dict[str, Any] | None:
        return next((api for api in self._all(self._apis.get_apis) if api["Name"] == name), None)

    def _create(self, name: str) -> dict[str, Any]:
        api = self._call(self._apis.create_api, Name=name, ProtocolType="HTTP")
        self._call(self._apis.create_stage, ApiId=api["ApiId"], StageName=DEFAULT_STAGE, AutoDeploy=True)
        return api

    def _let_in(self, function_arn: str, api_id: str) -> None:
        """Give the API the permission to run the function, if it has not got it."""
        region, account = function_arn.split(":")[3:5]
        try:
            self._call(
                self._lambda.add_permission,
                FunctionName=function_arn,
                StatementId=f"hearth-routes-{api_id}",
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=f"arn:aws:execute-api:{region}:{account}:{api_id}/*",
            )
        except ApiFailed as exc:
            if exc.code != "ResourceConflictException":
                raise

    def _drop_integration(self, where: dict[str, Any], route: dict[str, Any]) -> None:
        """A route's former integration, unless another route goes there too."""
        target = route.get("Target", "")
        if target and all(one.get("Target") != target for one in self._all(self._apis.get_routes, **where)):
            self._call(self._apis.delete_integration, **where, IntegrationId=target.removeprefix("integrations/"))

    def _all(self, operation: Any, **parameters: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._call(operation, **parameters)
            found += page.get("Items", [])
            if not page.get("NextToken"):
                return found
            parameters["NextToken"] = page["NextToken"]

    def _call(self, operation: Any, **parameters: Any) -> Any:
        try:
            return operation(**parameters)
        except ClientError as exc:
            error = exc.response.get("Error", {})
            raise ApiFailed(f"{error.get('Code')}: {error.get('Message')}", error.get("Code", "")) from exc
        except BotoCoreError as exc:
            raise ApiFailed(f"Nobody answers at {self._endpoint}: {exc}. Start the platform: hearth up") from exc
