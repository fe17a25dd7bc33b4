"""What functions have printed, as CloudWatch Logs tells it."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError

from tests.support.stack import PlatformStack

_WITHIN_S = 60.0


def logged(stack: PlatformStack, function: str, phrase: str = "") -> list[dict[str, Any]]:
    """The log events with this phrase, as soon as there are any: logs are written in batches."""
    until_s = time.monotonic() + _WITHIN_S
    pattern = {"filterPattern": f'"{phrase}"'} if phrase else {}
    while True:
        try:
            found = stack.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}", **pattern)
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "ResourceNotFoundException":  # it has not run yet
                raise
            found = {"events": []}
        if found["events"]:
            return list(found["events"])
        assert time.monotonic() < until_s, f"{phrase!r} was never logged by {function}"
        time.sleep(0.1)
