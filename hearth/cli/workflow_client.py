"""The Step Functions API of a running gateway, through botocore, for `hearth workflows`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.config import Config

from hearth.cli.client import answer_of
from hearth.cli.endpoint import Access

ROLE = "arn:aws:iam::000000000000:role/hearth"
#: above the longest Express execution
_READ_TIMEOUT_S = 330
_LOOK_S = 0.2


class WorkflowClient:
    """Every method raises ApiFailed."""

    def __init__(self, found: Access) -> None:
        self._access = found
        self._states = botocore.session.get_session().create_client(
            "stepfunctions",
            endpoint_url=found.endpoint,
            region_name=found.region,
            aws_access_key_id=found.key,
            aws_secret_access_key=found.secret,
            config=Config(read_timeout=_READ_TIMEOUT_S, retries={"total_max_attempts": 1}, inject_host_prefix=False),
        )

    def machines(self) -> list[dict[str, Any]]:
        return list(self._all("list_state_machines", "stateMachines"))

    def find(self, name: str) -> dict[str, Any]:
        """A machine by its name or ARN."""
        arn = name if name.startswith("arn:") else self._arn(name)
        return self._call("describe_state_machine", stateMachineArn=arn)

    def deploy(self, name: str, definition: str, kind: str, role: str) -> tuple[str, bool]:
        """Create it or update it: (ARN, whether it is new)."""
        known = next((one for one in self.machines() if one["name"] == name), None)
        if known is None:
            made = self._call("create_state_machine", name=name, definition=definition, type=kind, roleArn=role)
            return str(made["stateMachineArn"]), True
        arn = str(known["stateMachineArn"])
        self._call("update_state_machine", stateMachineArn=arn, definition=definition)
        return arn, False

    def start(self, machine: str, text: str, name: str | None) -> str:
        named = {} if name is None else {"name": name}
        return str(self._call("start_execution", stateMachineArn=machine, input=text, **named)["executionArn"])

    def start_sync(self, machine: str, text: str) -> dict[str, Any]:
        return self._call("start_sync_execution", stateMachineArn=machine, input=text)

    def describe(self, execution: str) -> dict[str, Any]:
        return self._call("describe_execution", executionArn=execution)

    def definition_of(self, execution: str) -> dict[str, Any]:
        return self._call("describe_state_machine_for_execution", executionArn=execution)

    def executions(self, machine: str, limit: int) -> list[dict[str, Any]]:
        found = self._call("list_executions", stateMachineArn=machine, maxResults=limit)["executions"]
        return list(found)

    def history(self, execution: str) -> list[dict[str, Any]]:
        return list(self._all("get_execution_history", "events", executionArn=execution, maxResults=1000))

    def follow(self, execution: str) -> Iterator[dict[str, Any]]:
        """Events as they come, until the execution has ended."""
        seen = 0
        while True:
            over = self.describe(execution)["status"] != "RUNNING"
            events = self.history(execution)
            yield from events[seen:]
            seen = len(events)
            if over:
                return
            time.sleep(_LOOK_S)

    def _arn(self, name: str) -> str:
        return f"arn:aws:states:{self._access.region}:{self._account()}:stateMachine:{name}"

    def _account(self) -> str:
        found = self.machines()
        return found[0]["stateMachineArn"].split(":")[4] if found else "000000000000"

    def _all(self, operation: str, member: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._call(operation, **parameters, **token)
            yield from page[member]
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = answer_of(self._access, getattr(self._states, operation), **parameters)
        return answer
