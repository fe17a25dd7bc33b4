"""Event source mappings through the Lambda API of a running gateway, for `hearth mappings`."""

from __future__ import annotations

import time
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from hearth.cli.client import ApiFailed
from hearth.cli.endpoint import Access
from hearth.model.mapping import MappingState

_SETTLED = (MappingState.ENABLED.value, MappingState.DISABLED.value)
#: what runs is finished before a change is done: as long as a function may take
_SETTLE_S = 1000.0
_LOOK_S = 0.1


class MappingClient:
    """Every method raises ApiFailed."""

    def __init__(self, found: Access) -> None:
        self._access = found
        self._lambda = botocore.session.get_session().create_client(
            "lambda",
            endpoint_url=found.endpoint,
            region_name=found.region,
            aws_access_key_id=found.key,
            aws_secret_access_key=found.secret,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        marker: dict[str, str] = {}
        while True:
            page = self._call("list_event_source_mappings", **marker)
            found += page["EventSourceMappings"]
            if not page.get("NextMarker"):
                return found
            marker = {"Marker": page["NextMarker"]}

    def find(self, text: str) -> dict[str, Any]:
        """By its UUID, or as much of its beginning as no other has."""
        found = [one for one in self.all() if one["UUID"].startswith(text.lower())]
        if len(found) != 1:
            raise ApiFailed(f"{len(found) or 'No'} event source mappings have a UUID that begins with {text}.")
        return found[0]

    def create(self, **members: Any) -> dict[str, Any]:
        return self.settled(self._call("create_event_source_mapping", **members)["UUID"])

    def enable(self, uuid: str, *, on: bool) -> dict[str, Any]:
        self._call("update_event_source_mapping", UUID=self.settled(uuid)["UUID"], Enabled=on)
        return self.settled(uuid)

    def delete(self, uuid: str) -> None:
        """Returns when it is gone."""
        self._call("delete_event_source_mapping", UUID=self.settled(uuid)["UUID"])
        try:
            self.settled(uuid)
        except ApiFailed as exc:
            if exc.code != "ResourceNotFoundException":
                raise

    def settled(self, uuid: str) -> dict[str, Any]:
        """Once it is not on its way to another state."""
        limit_s = time.monotonic() + _SETTLE_S
        while True:
            found = self._call("get_event_source_mapping", UUID=uuid)
            if found["State"] in _SETTLED:
                return found
            if time.monotonic() > limit_s:
                raise ApiFailed(f"{uuid} is still {found['State']}. Does a poller run? `hearth status` tells.")
            time.sleep(_LOOK_S)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._lambda, operation)(**parameters)
        except ClientError as exc:
            error = exc.response.get("Error", {})
            code = error.get("Code", "")
            raise ApiFailed(f"{code}: {error.get('Message', '')}", code) from exc
        except EndpointConnectionError as exc:
            raise ApiFailed(f"Nobody answers at {self._access.endpoint}. Start the platform: hearth up") from exc
        except BotoCoreError as exc:
            raise ApiFailed(str(exc)) from exc
        return {member: value for member, value in answer.items() if member != "ResponseMetadata"}
