"""A Task's Resource: an ARN taken apart into what it names.

Source: Step Functions Developer Guide, "Integrating services".
"""

from __future__ import annotations

import re

from hearth.asl.definition import Pattern, Resource, ResourceKind

_PARTITION = r"arn:aws(?:-cn|-us-gov)?"
_FUNCTION = re.compile(rf"{_PARTITION}:lambda:[^:\s]+:[^:\s]+:function:[^\s:]+(?::[^\s:]+)?")
_ACTIVITY = re.compile(rf"{_PARTITION}:states:[^:\s]+:[^:\s]+:activity:[^\s:]+")
_SERVICE = re.compile(
    rf"{_PARTITION}:states:[a-z0-9-]*:\d*:(?P<sdk>aws-sdk:)?(?P<service>[A-Za-z0-9-]+):(?P<action>[A-Za-z0-9]+)"
    r"(?:\.(?P<pattern>sync:2|sync|waitForTaskToken))?"
)


def parse_resource(arn: str) -> Resource | None:
    """What the ARN names, by its form alone; None if it has none of the forms."""
    if _FUNCTION.fullmatch(arn):
        return Resource(arn, ResourceKind.LAMBDA_FUNCTION)
    if _ACTIVITY.fullmatch(arn):
        return Resource(arn, ResourceKind.ACTIVITY)
    found = _SERVICE.fullmatch(arn)
    if not found:
        return None
    return Resource(
        arn,
        ResourceKind.AWS_SDK if found["sdk"] else ResourceKind.SERVICE,
        found["service"],
        found["action"],
        Pattern(found["pattern"] or ""),
    )
