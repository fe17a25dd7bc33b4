"""The Lambda and Logs APIs of a running gateway, through botocore: the commands use what users' tools use."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    WaiterError,
)

from hearth.cli.endpoint import Access
from hearth.cli.package import BadPackage, Package
from hearth.settings import Settings

#: above the longest function timeout and its wait for room
_READ_TIMEOUT_S = 1000
_ROLE = "arn:aws:iam::{account}:role/hearth"
_FALLBACK_RUNTIME = "python3.11"


class ApiFailed(Exception):
    """The text is for people: what happened and what to try. `code` is AWS's, if an answer came."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """`error`: None, or the value of X-Amz-Function-Error. `tail`: the last 4 KB of the log, if asked for."""

    payload: bytes
    error: str | None
    tail: str


class Client:
    def __init__(self, found: Access) -> None:
        self._access = found
        #: what the gateway wants the user to know of what it did
        self.notices: list[str] = []
        session = botocore.session.get_session()
        options: dict[str, Any] = {
            "endpoint_url": found.endpoint,
            "region_name": found.region,
            "aws_access_key_id": found.key,
            "aws_secret_access_key": found.secret,
            # a repeated request is the user's decision
            "config": Config(read_timeout=_READ_TIMEOUT_S, retries={"total_max_attempts": 1}),
        }
        self._lambda = session.create_client("lambda", **options)
        self._logs = session.create_client("logs", **options)

    def find(self, name: str) -> dict[str, Any] | None:
        """Its configuration, or None if there is no such function."""
        try:
            return self._call(self._lambda.get_function_configuration, FunctionName=name)
        except ApiFailed as exc:
            if exc.code == "ResourceNotFoundException":
                return None
            raise

    def functions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        marker: dict[str, str] = {}
        while True:
            page = self._call(self._lambda.list_functions, **marker)
            found += page.get("Functions", [])
            if not page.get("NextMarker"):
                return found
            marker = {"Marker": page["NextMarker"]}

    def create(self, package: Package, *, name: str, runtime: str, **configuration: Any) -> dict[str, Any]:
        """Create it and wait until it is active. `configuration`: members of CreateFunction."""
        handler = configuration.pop("Handler", None) or package.handler
        if handler is None:
            raise BadPackage("No handler found (app.handler would be). Name it: --handler MODULE.FUNCTION")
        self._call(
            self._lambda.create_function,
            FunctionName=name,
            Runtime=runtime,
            Handler=handler,
            Role=_ROLE.format(account="000000000000"),
            Code={"ZipFile": package.zip_bytes},
            **configuration,
        )
        return self._settled("function_active_v2", name)

    def update(self, package: Package, *, name: str, **configuration: Any) -> dict[str, Any]:
        """New code, then what of the configuration was given; each waited for, so the next invoke runs it."""
        self._call(self._lambda.update_function_code, FunctionName=name, ZipFile=package.zip_bytes)
        settled = self._settled("function_updated_v2", name)
        if configuration:
            self._call(self._lambda.update_function_configuration, FunctionName=name, **configuration)
            settled = self._settled("function_updated_v2", name)
        return settled

    def delete(self, name: str) -> None:
        self._call(self._lambda.delete_function, FunctionName=name)

    def invoke(self, name: str, payload: bytes, *, tail: bool = False) -> Answer:
        answer = self._call(self._lambda.invoke, FunctionName=name, Payload=payload, LogType="Tail" if tail else "None")
        log = base64.b64decode(answer.get("LogResult", "")).decode("utf-8", "replace")
        return Answer(answer["Payload"].read(), answer.get("FunctionError"), log)

    def send_event(self, name: str, payload: bytes) -> str:
        """Returns the request id, under which it is run and retried."""
        answer = self._call(self._lambda.invoke, FunctionName=name, Payload=payload, InvocationType="Event")
        return str(answer["ResponseMetadata"]["RequestId"])

    def log_events(self, group: str, since_ms: int, *, follow: bool) -> Iterator[dict[str, Any]]:
        """Events of a log group in order of time, each once; with `follow` without end.

        Each member of the Logs API's FilteredLogEvent. A group without any event yet has none.
        """
        seen: dict[str, int] = {}
        while True:
            for event in self._filtered(group, since_ms):
                if event["eventId"] not in seen:
                    seen[event["eventId"]] = event["timestamp"]
                    yield event
            if not follow:
                return
            # Writers flush a little late and in no common order: look back, and remember what was shown.
            since_ms = max(since_ms, max(seen.values(), default=0) - 10_000)
            seen = {event_id: at_ms for event_id, at_ms in seen.items() if at_ms >= since_ms}
            time.sleep(0.5)

    def publish_layer(self, package: Package, name: str, **members: Any) -> dict[str, Any]:
        """A version with this content: the newest one if it is just that, else a new one."""
        sha256 = base64.b64encode(hashlib.sha256(package.zip_bytes).digest()).decode()
        for newest in self.layer_versions(name)[:1]:
            found = self._call(self._lambda.get_layer_version, LayerName=name, VersionNumber=newest["Version"])
            if found["Content"]["CodeSha256"] == sha256 and members.items() <= ({"Description": ""} | found).items():
                return _plain(found)
        return _plain(
            self._call(
                self._lambda.publish_layer_version, LayerName=name, Content={"ZipFile": package.zip_bytes}, **members
            )
        )

    def layer_versions(self, name: str) -> list[dict[str, Any]]:
        """The newest first."""
        return self._pages("list_layer_versions", LayerName=name)["LayerVersions"]

    def layers(self) -> list[dict[str, Any]]:
        """The newest version of each."""
        return [layer["LatestMatchingVersion"] for layer in self._pages("list_layers")["Layers"]]

    def delete_layer(self, name: str, version: int) -> None:
        self._call(self._lambda.delete_layer_version, LayerName=name, VersionNumber=version)

    def newest_runtime(self, settings: Settings) -> str:
        """The newest Python that this host's workers offer."""
        from workers import runtimes  # not at the top: only deployments ask

        pythons = [family for family in runtimes.installed(settings) if family.startswith("python3.")]
        return max(pythons, key=lambda family: int(family.removeprefix("python3.")), default=_FALLBACK_RUNTIME)

    def _filtered(self, group: str, since_ms: int) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            try:
                page = self._call(self._logs.filter_log_events, logGroupName=group, startTime=since_ms, **token)
            except ApiFailed as exc:
                if exc.code == "ResourceNotFoundException":
                    return
                raise
            yield from page.get("events", [])
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def _settled(self, waiter: str, name: str) -> dict[str, Any]:
        try:
            self._lambda.get_waiter(waiter).wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        except WaiterError as exc:
            raise ApiFailed(f"{name} did not become ready: {exc}. `hearth status` tells how the platform is.") from exc
        return self._call(self._lambda.get_function_configuration, FunctionName=name)

    def _pages(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Every page of a list as one."""
        pages = self._lambda.get_paginator(operation).paginate(**parameters)
        return self._call(lambda: {**pages.build_full_result(), "ResponseMetadata": {"HTTPHeaders": {}}})

    def _call(self, operation: Any, **parameters: Any) -> Any:
        answer = answer_of(self._access, operation, **parameters)
        if notice := answer["ResponseMetadata"]["HTTPHeaders"].get("x-hearth-warning"):
            self.notices.append(notice)
        return answer


def answer_of(found: Access, operation: Any, **parameters: Any) -> Any:
    """What a method of a botocore client answers. Raises ApiFailed, worded for people."""
    try:
        return operation(**parameters)
    except ClientError as exc:
        error = exc.response.get("Error", {})
        code = error.get("Code", "")
        raise ApiFailed(f"{code}: {error.get('Message', '')}", code) from exc
    except EndpointConnectionError as exc:
        raise ApiFailed(f"Nobody answers at {found.endpoint}. Start the platform: hearth up") from exc
    except NoCredentialsError as exc:
        raise ApiFailed("No access key. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.") from exc
    except BotoCoreError as exc:
        raise ApiFailed(str(exc)) from exc


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}
