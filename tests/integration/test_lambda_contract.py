"""The Lambda API against botocore's own model of it: each operation is there or listed as missing, and checks input.

What is expected is computed here from the model: a required member left out, another type, a value too long, one that
breaks its pattern. Values that the operations judge in other words than the model's are left to their own tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import botocore.loaders
import pytest
from botocore.exceptions import ClientError
from botocore.model import ServiceModel, Shape, StructureShape

from gateway.services import offers
from hearth.limits import AWS_LIMITS
from tests.support.places import ROOT
from tests.support.stack import PlatformStack

MODEL = ServiceModel(botocore.loaders.Loader().load_service_model("lambda", "service-2"), "lambda")
OFFER = next(offer for offer in offers(AWS_LIMITS) if offer.service.name == "lambda")
OFFERED = sorted(OFFER.operations)
MISSING = sorted(set(MODEL.operation_names) - set(OFFERED))
#: members that the operations check themselves, in AWS's other words
OWN_WORDS = {"Runtime", "InvokeMode", "CompatibleRuntimes", "CompatibleRuntime", "CompatibleArchitectures"}
_BREAKING = ("!", "a b", "§", "-", "x", "")


def input_of(operation: str) -> StructureShape | None:
    return MODEL.operation_model(operation).input_shape


def sample(shape: Shape) -> Any:
    """Something of the right type; whether it is a good value does not matter, for all problems are told together."""
    if isinstance(shape, StructureShape):
        return {name: sample(shape.members[name]) for name in shape.required_members}
    return {
        "string": "x",
        "integer": 1,
        "long": 1,
        "boolean": True,
        "list": [],
        "map": {},
        "blob": b"x",
        "timestamp": 0,
        "double": 1.0,
        "float": 1.0,
    }[shape.type_name]


def required(operation: str) -> dict[str, Any]:
    shape = input_of(operation)
    return sample(shape) if shape is not None else {}


#: shapes whose values AWS lists in another order than its model does
RECORDED_ORDER = {"EventSourcePosition": ["LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"]}


def error_of(stack: PlatformStack, operation: str, given: dict[str, Any], **raw: Any) -> tuple[str, str]:
    """raw: members of the body as they are to be sent, where botocore would not write them."""
    client = stack.client("lambda", parameter_validation=False)

    def put(params: dict[str, Any], **_: Any) -> None:
        params["body"] = json.dumps(json.loads(params["body"] or b"{}") | raw).encode()

    if raw:
        client.meta.events.register("before-call", put)
    try:
        with pytest.raises(ClientError) as caught:
            client._make_api_call(operation, given)
    finally:
        client.meta.events.unregister("before-call", put)
    error = caught.value.response["Error"]
    return error["Code"], error.get("Message") or ""


def location(shape: Shape) -> str:
    return shape.serialization.get("location", "body")


def members(operation: str) -> Iterator[tuple[str, Shape]]:
    """Top-level members that a request can carry any value of."""
    shape = input_of(operation)
    for name, member in shape.members.items() if shape is not None else ():
        if name not in OWN_WORDS:
            yield name, member


def check_told(stack: PlatformStack, operation: str, given: dict[str, Any], problem: str) -> None:
    code, message = error_of(stack, operation, given)
    assert code == "ValidationException", (operation, problem, message)
    assert re.match(r"(1 validation error|\d+ validation errors) detected: ", message), message
    assert problem in message


def camel(name: str) -> str:
    return name[0].lower() + name[1:]


def test_every_operation_is_offered_or_listed_as_missing() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "lambda-api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == MISSING


def test_missing_operations_answer_with_the_listed_error(stack: PlatformStack) -> None:
    for operation in MISSING:
        code, message = error_of(stack, operation, required(operation))
        assert (code, message) == ("UnknownOperationException", f"lambda:{operation} is not offered by Hearth.")


def test_required_member_that_is_left_out_is_named(stack: PlatformStack) -> None:
    for operation in OFFERED:
        shape = input_of(operation)
        for name in shape.required_members if shape is not None else ():
            if location(shape.members[name]) == "uri" or name == shape.serialization.get("payload"):
                continue  # without it, it is another path; a body may be empty
            given = {one: value for one, value in required(operation).items() if one != name}
            told = f"Value null at '{camel(name)}' failed to satisfy constraint: Member must not be null"
            check_told(stack, operation, given, told)


def test_value_of_another_type_is_not_read(stack: PlatformStack) -> None:
    structure, text = "Start of structure or map found where not expected.", "Unexpected field type"
    wrong: dict[str, tuple[Any, str]] = {
        "string": ({"an": "object"}, structure),
        "integer": ("many", "STRING_VALUE can not be converted to an Integer"),
        "boolean": ("perhaps", "STRING_VALUE can not be converted to a Boolean"),
        "list": ("no list", text),
        "map": ("no map", text),
        "structure": ("no structure", text),
    }
    checked = set()
    for operation in OFFERED:
        payload = (input_of(operation) or MODEL.shape_for("Layer")).serialization.get("payload")
        for name, member in members(operation):
            if location(member) != "body" or name == payload or member.type_name not in wrong:
                continue
            value, told = wrong[member.type_name]
            answer = error_of(stack, operation, required(operation), **{name: value})
            assert answer == ("SerializationException", told), (operation, name)
            checked.add(member.type_name)
    assert checked == set(wrong)


def test_value_that_is_too_long_or_too_great_is_told_with_the_limit(stack: PlatformStack) -> None:
    for operation in OFFERED:
        for name, member in members(operation):
            most = OFFER.service.maximum(member)
            if most is None or most > 50_000:
                continue
            if member.type_name == "string":
                rule, value = "length", "a" * (most + 1)
            elif member.type_name in ("integer", "long"):
                rule, value = "value", most + 1  # type: ignore[assignment]
            else:
                continue
            told = f"'{camel(name)}' failed to satisfy constraint: Member must have {rule} less than or equal to {most}"
            check_told(stack, operation, required(operation) | {name: value}, told)


def test_value_that_breaks_its_pattern_or_is_not_in_its_list_is_told_with_it(stack: PlatformStack) -> None:
    for operation in OFFERED:
        for name, member in members(operation):
            if member.type_name != "string":
                continue
            rule, value = broken(member)
            if value is None or (location(member) == "uri" and not value):
                continue
            told = f"Value '{value}' at '{camel(name)}' failed to satisfy constraint: {rule}"
            check_told(stack, operation, required(operation) | {name: value}, told)


def broken(member: Shape) -> tuple[str, str | None]:
    """The rule, and a value that breaks it; None if there is no rule, or Python's `re` can't tell."""
    if pattern := member.metadata.get("pattern"):
        try:
            compiled = re.compile(pattern)
        except re.error:
            return "", None
        low = member.metadata.get("min", 0)
        values = [value for value in _BREAKING if len(value) >= low and not compiled.fullmatch(value)]
        # as AWS shows it: without the brackets that the model puts around `(...)|(...)`
        shown = pattern[1:-1] if re.fullmatch(r"\(\(arn.*\)\|\(arn.*\)\)", pattern) else pattern
        return f"Member must satisfy regular expression pattern: {shown}", next(iter(values), None)
    if allowed := RECORDED_ORDER.get(member.name) or getattr(member, "enum", None):
        return f"Member must satisfy enum value set: [{', '.join(allowed)}]", "Neither"
    return "", None
