"""Names and ARNs as the Step Functions API takes them, and the errors for those it doesn't.

Texts as recorded from AWS.
"""

from __future__ import annotations

import re
from typing import NoReturn

from hearth.errors import ApiError
from hearth.model.workflow_arn import WorkflowArn, parse_workflow_arn

#: white space, brackets, wildcards, punctuation of URLs, control characters, surrogates and non-characters
_FORBIDDEN = re.compile('[\\s<>{}\\[\\]?*"#%\\\\^|~`$&,;:/\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufffe\\uffff]')


def check_name(name: str) -> str:
    """Of a state machine, an execution or an activity."""
    if _FORBIDDEN.search(name):
        raise ApiError("InvalidName", 400, f"Invalid Name: '{name}'")
    return name


def workflow_arn(text: str, *kinds: str) -> WorkflowArn:
    """An ARN of one of these kinds."""
    arn = parse_workflow_arn(text)
    if arn is None:
        raise invalid_arn(f"Invalid ARN prefix: {text}")
    if arn.kind not in kinds:
        raise invalid_arn(f"Resource type not valid in this context: {arn.kind}")
    return arn


def invalid_arn(why: str) -> ApiError:
    return ApiError("InvalidArn", 400, f"Invalid Arn: '{why}'")


def no_machine(arn: str) -> ApiError:
    return ApiError("StateMachineDoesNotExist", 400, f"State Machine Does Not Exist: '{arn}'")


def no_execution(arn: str) -> ApiError:
    return ApiError("ExecutionDoesNotExist", 400, f"Execution Does Not Exist: '{arn}'")


def no_activity(arn: str) -> ApiError:
    return ApiError("ActivityDoesNotExist", 400, f"Activity Does Not Exist: '{arn}'")


def no_resource(arn: str) -> ApiError:
    return ApiError("ResourceNotFound", 400, f"Resource not found: '{arn}'")


def refuse(message: str, **members: object) -> NoReturn:
    """A ValidationException that no shape of the model describes."""
    raise ApiError("ValidationException", 400, message, **members)
