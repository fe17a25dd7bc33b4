"""Task tokens: what a `.waitForTaskToken` task or an activity's worker hands back to end its task.

A token names its execution and its task (the id of the task's Scheduled event), so that no index is needed to find
them, and carries a seal made from the execution's secret, so that it can't be guessed. Opaque to callers, at most 2,048
characters. Source: Step Functions API Reference, SendTaskSuccess.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_PREFIX = "AQC"


def make_token(execution_arn: str, task_id: int, secret: str) -> str:
    """The same token for the same task, always."""
    seal = hmac.digest(secret.encode(), f"{execution_arn}#{task_id}".encode(), hashlib.sha256)[:18]
    body = base64.urlsafe_b64encode(seal + f"{task_id}#{execution_arn}".encode()).decode().rstrip("=")
    return _PREFIX + body


def read_token(token: str) -> tuple[str, int] | None:
    """(execution ARN, task id); None: not a token. Only beside the execution's secret is it known to be genuine."""
    if not token.startswith(_PREFIX):
        return None
    body = token[len(_PREFIX) :]
    try:
        task, _, arn = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))[18:].decode().partition("#")
        return arn, int(task)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
