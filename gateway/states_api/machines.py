"""State machines: create, update, describe, list, delete. Source: Step Functions API reference; texts as recorded."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from gateway.call import Call
from gateway.states_api import pages
from gateway.states_api.definitions import check_definition, variable_references
from gateway.states_api.logging import DEFAULT as NO_LOGGING
from gateway.states_api.logging import logging_configuration
from gateway.states_api.names import check_name, no_machine, refuse, workflow_arn
from gateway.states_api.tags import tags_of
from hearth.errors import ApiError
from hearth.model.state_machine import MachineVersion, StateMachine
from hearth.model.workflow_arn import WorkflowArn, machine_arn
from hearth.store.machines import Change, Read

#: versions that a machine may have (Step Functions quotas)
MAX_VERSIONS = 1000
_TRIES = 10


async def create_state_machine(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    name = check_name(given["name"])
    kind = given.get("type", "STANDARD")
    if given.get("versionDescription") is not None and not given.get("publish"):
        refuse("Version description can only be set when publish is true")
    check_definition(given["definition"], kind)
    logging = await logging_configuration(call, given.get("loggingConfiguration"))
    now = call.backends.clock.now_ms()
    machine = StateMachine(
        account=call.caller.account,
        region=call.caller.region,
        name=name,
        type=kind,
        definition=given["definition"],
        role_arn=given["roleArn"],
        created_at_ms=now,
        updated_at_ms=now,
        logging=logging,
        tracing=given.get("tracingConfiguration", {}).get("enabled", False),
        encryption=given.get("encryptionConfiguration") or {},
        tags=tags_of(given.get("tags", [])),
        created_with={"publish": given.get("publish", False), "versionDescription": given.get("versionDescription")},
    )
    change = Change(machine)
    if given.get("publish"):
        version = _version_of(machine, given.get("versionDescription"), now)
        change = Change(dataclasses.replace(machine, last_version=1), {1: version})
    for _ in range(_TRIES):
        read = await _read(call, name)
        if read is not None:
            return _created_before(read.machine, machine)
        if await call.backends.machines.write(change, read=None):
            return _created(change.machine)
    raise _conflict()


async def update_state_machine(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = workflow_arn(given["stateMachineArn"], "stateMachine")
    changes = ("definition", "roleArn", "loggingConfiguration", "tracingConfiguration", "encryptionConfiguration")
    if not any(given.get(member) is not None for member in changes) and not given.get("publish"):
        raise ApiError(
            "MissingRequiredParameter",
            400,
            "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be "
            "specified",
        )
    if given.get("versionDescription") is not None and not given.get("publish"):
        refuse("Version description can only be set when publish is true")
    if arn.rest:  # versions never change
        raise no_machine(str(arn))
    for _ in range(_TRIES):
        read = await existing(call, arn)
        machine = await _updated(call, read.machine, given)
        change, number = Change(machine), 0
        if given.get("publish"):
            change, number = await _published(call, machine, given.get("versionDescription"))
        unchanged = change.machine == read.machine
        if unchanged or await call.backends.machines.write(change, read=read):
            answer = {"updateDate": machine.updated_at_ms / 1000, "revisionId": machine.revision_id or None}
            if number:
                answer["stateMachineVersionArn"] = machine_arn(
                    machine.region, machine.account, machine.name, str(number)
                )
            return answer
    raise _conflict()


async def describe_state_machine(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = workflow_arn(given["stateMachineArn"], "stateMachine")
    machine = (await existing(call, arn)).machine
    if not arn.rest:
        shown = _described(machine)
    else:
        version = await version_of(call, arn)
        if version is None:
            raise no_machine(str(arn))
        shown = _described(as_published(machine, version)) | {
            "stateMachineArn": str(arn),
            "creationDate": version.created_at_ms / 1000,
            "description": version.description,
        }
    if given.get("includedData") == "METADATA_ONLY":
        shown |= {"definition": "{}", "variableReferences": None}
    return shown


async def list_state_machines(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    machines = await call.backends.machines.all(call.caller.account, call.caller.region)
    found, token = pages.page(machines, given, "machines")
    return {
        "stateMachines": [
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": machine.type,
                "creationDate": machine.created_at_ms / 1000,
            }
            for machine in found
        ],
        "nextToken": token,
    }


async def delete_state_machine(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Its executions are stopped; it is DELETING until they have ended. An unknown one: nothing to do."""
    arn = workflow_arn(given["stateMachineArn"], "stateMachine")
    for _ in range(_TRIES):
        read = await _read(call, arn.name, arn)
        if read is None or arn.rest:
            return {}
        if not await call.backends.executions.stop_all(read.machine.arn):
            await call.backends.machines.delete(arn.account, arn.region, arn.name)
            return {}
        deleting = dataclasses.replace(read.machine, status="DELETING")
        if await call.backends.machines.write(Change(deleting), read=read):
            return {}
    raise _conflict()


async def publish_state_machine_version(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = workflow_arn(given["stateMachineArn"], "stateMachine")
    for _ in range(_TRIES):
        read = await existing(call, arn)
        machine = read.machine
        wanted = given.get("revisionId")
        if wanted is not None and wanted != (machine.revision_id or "INITIAL"):
            raise ApiError(
                "ConflictException",
                400,
                f"Failed to publish the State Machine version for revision {wanted}. The current State Machine "
                f"revision is {machine.revision_id or 'INITIAL'}.",
            )
        change, number = await _published(call, machine, given.get("description"))
        if change.machine == machine or await call.backends.machines.write(change, read=read):
            version = change.versions.get(number) or await call.backends.machines.version(
                machine.account, machine.region, machine.name, number
            )
            if version is None:
                continue  # deleted meanwhile
            return {
                "stateMachineVersionArn": f"{machine.arn}:{number}",
                "creationDate": version.created_at_ms / 1000,
            }
    raise _conflict()


async def list_state_machine_versions(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    arn = workflow_arn(given["stateMachineArn"], "stateMachine")
    await existing(call, arn)
    versions = await call.backends.machines.versions(arn.account, arn.region, arn.name)
    found, token = pages.page(versions, given, str(arn))
    return {
        "stateMachineVersions": [
            {"stateMachineVersionArn": f"{arn}:{version.number}", "creationDate": version.created_at_ms / 1000}
            for version in found
        ],
        "nextToken": token,
    }


async def delete_state_machine_version(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """One that isn't there: nothing to do."""
    arn = workflow_arn(given["stateMachineVersionArn"], "stateMachine")
    for _ in range(_TRIES):
        read = await _read(call, arn.name, arn)
        if read is None or not arn.rest.isdecimal():
            return {}
        aliases = await call.backends.machines.aliases(arn.account, arn.region, arn.name)
        users = [
            alias.name
            for alias in aliases
            if any(route["stateMachineVersionArn"] == str(arn) for route in alias.routing)
        ]
        if users:
            raise ApiError(
                "ConflictException",
                400,
                "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this "
                f"version: [{', '.join(users)}]",
            )
        if await call.backends.machines.write(Change(read.machine, {int(arn.rest): None}), read=read):
            return {}
    raise _conflict()


async def existing(call: Call, arn: WorkflowArn) -> Read:
    """The machine that the ARN names, whatever its version or alias. Raises StateMachineDoesNotExist."""
    read = await _read(call, arn.name, arn)
    if read is None:
        raise no_machine(str(arn))
    return read


async def version_of(call: Call, arn: WorkflowArn) -> MachineVersion | None:
    """None: there is no such version."""
    if not arn.rest.isdecimal():
        return None
    return await call.backends.machines.version(arn.account, arn.region, arn.name, int(arn.rest))


def as_published(machine: StateMachine, version: MachineVersion) -> StateMachine:
    """The machine as it was when the version was published."""
    return dataclasses.replace(
        machine,
        definition=version.definition,
        role_arn=version.role_arn,
        logging=version.logging,
        tracing=version.tracing,
        encryption=version.encryption,
        revision_id=version.revision_id,
    )


async def _read(call: Call, name: str, arn: WorkflowArn | None = None) -> Read | None:
    """None: there is none of the caller's account and region. One whose last execution has ended is gone."""
    account, region = call.caller.account, call.caller.region
    if arn is not None and (arn.account, arn.region) != (account, region):
        return None
    read = await call.backends.machines.get(account, region, name)
    if read is None or read.machine.status != "DELETING":
        return read
    if await call.backends.executions.running(read.machine.arn):
        return read
    await call.backends.machines.delete(account, region, name)
    return None


def _created_before(known: StateMachine, asked: StateMachine) -> dict[str, Any]:
    """The answer to a repeated CreateStateMachine; role and tags don't count."""
    if known.status == "DELETING":
        raise ApiError("StateMachineDeleting", 400, f"State machine is being deleted: '{known.arn}'")
    decisive = ("definition", "type", "logging", "tracing", "created_with", "encryption")
    if any(getattr(known, name) != getattr(asked, name) for name in decisive):
        raise ApiError("StateMachineAlreadyExists", 400, f"State Machine Already Exists: '{known.arn}'")
    return _created(known)


def _created(machine: StateMachine) -> dict[str, Any]:
    published = machine.created_with.get("publish")
    return {
        "stateMachineArn": machine.arn,
        "creationDate": machine.created_at_ms / 1000,
        "stateMachineVersionArn": f"{machine.arn}:1" if published else None,
    }


async def _updated(call: Call, machine: StateMachine, given: dict[str, Any]) -> StateMachine:
    """A new revision, unless nothing differs."""
    if machine.status == "DELETING":
        raise ApiError("StateMachineDeleting", 400, f"State machine is being deleted: '{machine.arn}'")
    changes: dict[str, Any] = {}
    if given.get("definition") is not None:
        check_definition(given["definition"], machine.type)
        changes["definition"] = given["definition"]
    if given.get("roleArn") is not None:
        changes["role_arn"] = given["roleArn"]
    if given.get("loggingConfiguration") is not None:
        changes["logging"] = await logging_configuration(call, given["loggingConfiguration"])
    if given.get("tracingConfiguration") is not None:
        changes["tracing"] = given["tracingConfiguration"].get("enabled", False)
    if given.get("encryptionConfiguration") is not None:
        changes["encryption"] = given["encryptionConfiguration"]
    updated = dataclasses.replace(machine, **changes)
    if updated == machine:
        return machine
    return dataclasses.replace(updated, revision_id=str(uuid.uuid4()), updated_at_ms=call.backends.clock.now_ms())


async def _published(call: Call, machine: StateMachine, description: str | None) -> tuple[Change, int]:
    """A version of this revision: the one there is, or a new one."""
    versions = await call.backends.machines.versions(machine.account, machine.region, machine.name)
    if versions and versions[0].revision_id == machine.revision_id:
        return Change(machine), versions[0].number
    if len(versions) >= MAX_VERSIONS:
        raise ApiError("ServiceQuotaExceededException", 400, f"The maximum number of versions is {MAX_VERSIONS}.")
    numbered = dataclasses.replace(machine, last_version=machine.last_version + 1)
    version = _version_of(numbered, description, call.backends.clock.now_ms())
    return Change(numbered, {version.number: version}), version.number


def _version_of(machine: StateMachine, description: str | None, now_ms: int) -> MachineVersion:
    return MachineVersion(
        number=machine.last_version or 1,
        revision_id=machine.revision_id,
        definition=machine.definition,
        role_arn=machine.role_arn,
        logging=machine.logging,
        tracing=machine.tracing,
        encryption=machine.encryption,
        created_at_ms=now_ms,
        description=description,
    )


def _described(machine: StateMachine) -> dict[str, Any]:
    return {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "status": machine.status,
        "definition": machine.definition,
        "roleArn": machine.role_arn,
        "type": machine.type,
        "creationDate": machine.created_at_ms / 1000,
        "loggingConfiguration": machine.logging or dict(NO_LOGGING),
        "tracingConfiguration": {"enabled": machine.tracing},
        "encryptionConfiguration": machine.encryption or None,
        "revisionId": machine.revision_id or None,
        "variableReferences": variable_references(machine.definition) or None,
    }


def _conflict() -> ApiError:
    return ApiError("ConflictException", 400, "The state machine is being changed by others. Try again.")
