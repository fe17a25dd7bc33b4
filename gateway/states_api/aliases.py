"""Aliases of state machines: one or two versions with weights. Texts as recorded from AWS."""

from __future__ import annotations

import dataclasses
from typing import Any

from gateway.call import Call
from gateway.protocols.validate import detected
from gateway.states_api import pages
from gateway.states_api.machines import existing
from gateway.states_api.names import no_machine, refuse, workflow_arn
from hearth.errors import ApiError
from hearth.model.state_machine import MachineAlias
from hearth.model.workflow_arn import WorkflowArn, parse_workflow_arn
from hearth.store.machines import Change, Read

#: of one machine (Step Functions quotas)
MAX_ALIASES = 100
MAX_ROUTES = 2
_TRIES = 10


async def create_state_machine_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    name, routing = given["name"], given["routingConfiguration"]
    machine_arn = _machine_of(routing)
    for _ in range(_TRIES):
        read = await existing(call, machine_arn)
        await _check_versions(call, read, routing)
        aliases = await call.backends.machines.aliases(machine_arn.account, machine_arn.region, machine_arn.name)
        known = next((alias for alias in aliases if alias.name == name), None)
        if known is not None:
            if known.routing != routing or known.description != given.get("description"):
                raise ApiError(
                    "ConflictException",
                    400,
                    "Failed to create alias because an alias with the same name and a different routing "
                    "configuration already exists.",
                )
            return _created(read, known)
        if len(aliases) >= MAX_ALIASES:
            raise ApiError("ServiceQuotaExceededException", 400, f"The maximum number of aliases is {MAX_ALIASES}.")
        now = call.backends.clock.now_ms()
        alias = MachineAlias(name, routing, now, now, given.get("description"))
        if await call.backends.machines.write(Change(read.machine, aliases={name: alias}), read=read):
            return _created(read, alias)
    raise ApiError("ConflictException", 400, "The state machine is being changed by others. Try again.")


async def update_state_machine_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("description") is None and given.get("routingConfiguration") is None:
        raise ApiError(
            "ValidationException",
            400,
            "Either the description or the routing configuration must be specified",
            reason="MISSING_REQUIRED_PARAMETER",
        )
    for _ in range(_TRIES):
        read, alias = await _existing(call, given["stateMachineAliasArn"])
        changes: dict[str, Any] = {"updated_at_ms": call.backends.clock.now_ms()}
        if given.get("routingConfiguration") is not None:
            _machine_of(given["routingConfiguration"])
            await _check_versions(call, read, given["routingConfiguration"])
            changes["routing"] = given["routingConfiguration"]
        if given.get("description") is not None:
            changes["description"] = given["description"]
        alias = dataclasses.replace(alias, **changes)
        if await call.backends.machines.write(Change(read.machine, aliases={alias.name: alias}), read=read):
            return {"updateDate": alias.updated_at_ms / 1000}
    raise ApiError("ConflictException", 400, "The state machine is being changed by others. Try again.")


async def describe_state_machine_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    read, alias = await _existing(call, given["stateMachineAliasArn"])
    return {
        "stateMachineAliasArn": f"{read.machine.arn}:{alias.name}",
        "name": alias.name,
        "description": alias.description,
        "routingConfiguration": alias.routing,
        "creationDate": alias.created_at_ms / 1000,
        "updateDate": alias.updated_at_ms / 1000,
    }


async def list_state_machine_aliases(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Of a machine, or those that route to a version of it."""
    arn = workflow_arn(given["stateMachineArn"], "stateMachine")
    read = await existing(call, arn)
    aliases = await call.backends.machines.aliases(arn.account, arn.region, arn.name)
    if arn.rest:
        aliases = [alias for alias in aliases if str(arn) in _versions(alias.routing)]
    found, token = pages.page(aliases, given, str(arn))
    return {
        "stateMachineAliases": [
            {
                "stateMachineAliasArn": f"{read.machine.arn}:{alias.name}",
                "creationDate": alias.created_at_ms / 1000,
            }
            for alias in found
        ],
        "nextToken": token,
    }


async def delete_state_machine_alias(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """One that isn't there: nothing to do."""
    arn = workflow_arn(given["stateMachineAliasArn"], "stateMachine")
    for _ in range(_TRIES):
        read = await existing(call, arn)
        if await call.backends.machines.write(Change(read.machine, aliases={arn.rest: None}), read=read):
            return {}
    raise ApiError("ConflictException", 400, "The state machine is being changed by others. Try again.")


async def _existing(call: Call, text: str) -> tuple[Read, MachineAlias]:
    arn = workflow_arn(text, "stateMachine")
    read = await existing(call, arn)
    alias = await call.backends.machines.alias(arn.account, arn.region, arn.name, arn.rest)
    if alias is None:
        raise ApiError("ResourceNotFound", 400, "Request references a resource that does not exist.")
    return read, alias


def _machine_of(routing: list[dict[str, Any]]) -> WorkflowArn:
    """The machine that the routes belong to. Raises ValidationException."""
    if len(routing) > MAX_ROUTES:
        shown = ", ".join(
            f"RoutingConfigurationListItem(stateMachineVersionArn={route['stateMachineVersionArn']}, "
            f"weight={route['weight']})"
            for route in routing
        )
        rule = f"Member must have length less than or equal to {MAX_ROUTES}"
        refuse(detected([f"Value '[{shown}]' at 'routingConfiguration' failed to satisfy constraint: {rule}"]))
    arns = _versions(routing)
    parsed = [parse_workflow_arn(arn) for arn in arns]
    received = f"Received: [{', '.join(arns)}]"
    for arn in parsed:
        if arn is None or arn.kind != "stateMachine" or not arn.rest.isdecimal():
            _refuse_routing(f"Routing configuration must contain state machine version ARNs. {received}")
    if len(set(arns)) < len(arns):
        _refuse_routing(f"Routing configuration must contain distinct state machine version ARNs. {received}")
    weights = [route["weight"] for route in routing]
    if sum(weights) != 100:
        shown = ", ".join(map(str, weights))
        _refuse_routing(f"Sum of routing configuration weights must equal 100. Received: [{shown}]")
    first = parsed[0]
    assert first is not None
    if any(arn is None or arn.name != first.name for arn in parsed):
        _refuse_routing(f"Routing configuration must contain versions of the same state machine. {received}")
    return first


def _refuse_routing(message: str) -> None:
    raise ApiError("ValidationException", 400, message, reason="INVALID_ROUTING_CONFIGURATION")


async def _check_versions(call: Call, read: Read, routing: list[dict[str, Any]]) -> None:
    machine = read.machine
    for arn in _versions(routing):
        number = int(arn.rpartition(":")[2])
        if await call.backends.machines.version(machine.account, machine.region, machine.name, number) is None:
            raise no_machine(arn)


def _versions(routing: list[dict[str, Any]]) -> list[str]:
    return [route["stateMachineVersionArn"] for route in routing]


def _created(read: Read, alias: MachineAlias) -> dict[str, Any]:
    return {
        "stateMachineAliasArn": f"{read.machine.arn}:{alias.name}",
        "creationDate": alias.created_at_ms / 1000,
    }
