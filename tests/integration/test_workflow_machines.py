"""State machines, versions, aliases, activities and tags, with boto3 against the whole platform."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/test"
PASS = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
OTHER = json.dumps({"StartAt": "B", "States": {"B": {"Type": "Succeed"}}})


@pytest.fixture
def states(stack: PlatformStack) -> Any:
    return stack.client("stepfunctions")


def fresh(prefix: str = "machine") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def create(states: Any, **given: Any) -> dict[str, Any]:
    return dict(states.create_state_machine(**{"name": fresh(), "definition": PASS, "roleArn": ROLE} | given))


def test_repeated_create_is_answered_alike_and_a_different_one_refused(states: Any) -> None:
    name = fresh()
    first = create(states, name=name)
    again = create(states, name=name, roleArn=ROLE + "2")
    assert again["creationDate"] == first["creationDate"]
    code, message = refused(states.create_state_machine, name=name, definition=OTHER, roleArn=ROLE)
    assert (code, message) == (
        "StateMachineAlreadyExists",
        f"State Machine Already Exists: '{first['stateMachineArn']}'",
    )


def test_update_makes_a_revision_and_the_same_again_does_not(states: Any) -> None:
    arn = create(states)["stateMachineArn"]
    assert "revisionId" not in states.describe_state_machine(stateMachineArn=arn)
    revision = states.update_state_machine(stateMachineArn=arn, definition=OTHER)["revisionId"]
    assert states.update_state_machine(stateMachineArn=arn, definition=OTHER)["revisionId"] == revision
    described = states.describe_state_machine(stateMachineArn=arn)
    assert (described["definition"], described["revisionId"]) == (OTHER, revision)
    assert described["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
    assert refused(states.update_state_machine, stateMachineArn=arn)[0] == "MissingRequiredParameter"


def test_versions_are_numbered_once_and_kept_while_an_alias_names_them(states: Any) -> None:
    arn = create(states, publish=True)["stateMachineArn"]
    assert states.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:1"
    states.update_state_machine(stateMachineArn=arn, definition=OTHER)
    assert states.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:2"
    routes = [{"stateMachineVersionArn": f"{arn}:{number}", "weight": 50} for number in (1, 2)]
    alias = states.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"]
    assert states.describe_state_machine_alias(stateMachineAliasArn=alias)["routingConfiguration"] == routes
    code, message = refused(states.delete_state_machine_version, stateMachineVersionArn=f"{arn}:1")
    assert (code, message.rpartition(" ")[2]) == ("ConflictException", "[live]")
    states.delete_state_machine_alias(stateMachineAliasArn=alias)
    states.delete_state_machine_version(stateMachineVersionArn=f"{arn}:2")
    states.update_state_machine(stateMachineArn=arn, definition=PASS, roleArn=ROLE + "2")
    assert states.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:3"
    listed = states.list_state_machine_versions(stateMachineArn=arn)["stateMachineVersions"]
    assert [one["stateMachineVersionArn"] for one in listed] == [f"{arn}:3", f"{arn}:1"]


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ((70, 29), "Sum of routing configuration weights must equal 100. Received: [70, 29]"),
        ((50, 30, 20), "failed to satisfy constraint: Member must have length less than or equal to 2"),
    ],
)
def test_routing_that_does_not_add_up_is_refused(states: Any, weights: tuple[int, ...], text: str) -> None:
    arn = create(states, publish=True)["stateMachineArn"]
    routes = [{"stateMachineVersionArn": f"{arn}:{n}", "weight": weight} for n, weight in enumerate(weights, 1)]
    code, message = refused(states.create_state_machine_alias, name="live", routingConfiguration=routes)
    assert code == "ValidationException"
    assert message.endswith(text)


def test_pages_are_whole_and_a_foreign_token_is_refused(states: Any) -> None:
    arns = [create(states)["stateMachineArn"] for _ in range(4)]
    pages = states.get_paginator("list_state_machines").paginate(maxResults=3)
    listed = [machine["stateMachineArn"] for page in pages for machine in page["stateMachines"]]
    assert [arn for arn in listed if arn in arns] == sorted(arns)
    assert len(set(listed)) == len(listed)
    assert refused(states.list_activities, nextToken="x" * 20)[0] == "InvalidToken"


def test_deleted_machine_is_gone_and_deleting_it_again_is_no_error(states: Any) -> None:
    arn = create(states, publish=True)["stateMachineArn"]
    states.delete_state_machine(stateMachineArn=arn)
    assert refused(states.describe_state_machine, stateMachineArn=arn) == (
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{arn}'",
    )
    states.delete_state_machine(stateMachineArn=arn)


def test_activities_keep_their_first_creation(states: Any) -> None:
    name = fresh("activity")
    made = states.create_activity(name=name, tags=[{"key": "team", "value": "a"}])
    assert states.create_activity(name=name)["creationDate"] == made["creationDate"]
    described = states.describe_activity(activityArn=made["activityArn"])
    assert described["encryptionConfiguration"] == {"type": "AWS_OWNED_KEY"}
    states.delete_activity(activityArn=made["activityArn"])
    assert refused(states.describe_activity, activityArn=made["activityArn"])[0] == "ActivityDoesNotExist"
    assert refused(states.create_activity, name="a b") == ("InvalidName", "Invalid Name: 'a b'")


def test_tags_are_merged_and_versions_have_none(states: Any) -> None:
    made = create(states, publish=True, tags=[{"key": "a", "value": "1"}])
    arn = made["stateMachineArn"]
    states.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "2"}, {"key": "b", "value": ""}])
    states.untag_resource(resourceArn=arn, tagKeys=["b", "never"])
    assert states.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "2"}]
    version = made["stateMachineVersionArn"]
    assert refused(states.tag_resource, resourceArn=version, tags=[]) == (
        "ResourceNotFound",
        f"Resource not found: '{version}'",
    )
    many = [{"key": str(n), "value": ""} for n in range(50)]
    assert refused(states.tag_resource, resourceArn=arn, tags=many)[0] == "TooManyTags"


def test_broken_definition_is_refused_with_its_place(states: Any) -> None:
    code, message = refused(states.create_state_machine, name=fresh(), definition="{}", roleArn=ROLE)
    assert code == "InvalidDefinition"
    assert "SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /" in message
    found = states.validate_state_machine_definition(definition="{}")
    assert (found["result"], found["diagnostics"][0]["location"]) == ("FAIL", "/")
