"""The calls to one SQS queue: receive, delete, give back. Wherever it is served (`hearth.aws_endpoints`).

Received messages are invisible to others for the queue's visibility timeout; what is not deleted by then comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

from hearth.aws_clients import AwsClients
from hearth.clock import Deadline
from hearth.errors import HearthError
from hearth.model.mapping import EventSourceMapping
from pollers.queues.long_poll import on_thread
from pollers.queues.queue_batch import chunks

log = logging.getLogger(__name__)

#: SQS's bounds: of a receive or a batch call, and of waiting
MOST_MESSAGES = 10
LONGEST_WAIT_S = 20
CALL_S = 15.0
#: tries of a deletion; after that the message comes back, and its function runs again
_TRIES = 4
_PAUSE_S = 0.5

#: as ReceiveMessage answers it
Message = dict[str, Any]


class SqsQueue:
    def __init__(self, aws: AwsClients, mapping: EventSourceMapping) -> None:
        self._aws = aws
        self._account, self._region = mapping.source_account, mapping.source_region
        self._name = mapping.source_name
        self._url = ""
        self.fifo = self._name.endswith(".fifo")
        #: how long received messages are ours
        self.visibility_s = 30.0

    async def open(self) -> None:
        """Find it. Raises HearthError: nobody serves SQS, there is no such queue, no answer."""
        found = await self._call("GetQueueUrl", QueueName=self._name, QueueOwnerAWSAccountId=self._account)
        self._url = found["QueueUrl"]
        told = await self._call("GetQueueAttributes", QueueUrl=self._url, AttributeNames=["VisibilityTimeout"])
        self.visibility_s = float(told.get("Attributes", {}).get("VisibilityTimeout", self.visibility_s))

    async def receive(self, most: int, wait_s: int) -> list[Message]:
        """Up to ten; none after wait_s seconds without any. Cancelled, what still comes is given back.

        Raises HearthError.
        """
        given = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": min(most, MOST_MESSAGES),
            "WaitTimeSeconds": min(wait_s, LONGEST_WAIT_S),
            # AWS's newer name of it is not known to every server
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }

        def work() -> list[Message]:
            answer = self._aws.call_blocking("sqs", "ReceiveMessage", self._account, self._region, "", given)
            return list(answer.get("Messages", ()))

        return await on_thread(work, self._give_back_blocking)

    async def delete(self, messages: Sequence[Message]) -> bool:
        """They are done. False: some could not be deleted, so they come back; that was logged."""
        done = [await self._delete(ten) for ten in chunks(list(messages), MOST_MESSAGES)]
        return all(done)

    async def give_back(self, messages: Sequence[Message]) -> None:
        """Visible again at once, as far as the queue can be reached."""
        for ten in chunks(list(messages), MOST_MESSAGES):
            with contextlib.suppress(HearthError):  # the visibility timeout does it
                await self._call("ChangeMessageVisibilityBatch", QueueUrl=self._url, Entries=_visible(ten))

    def _give_back_blocking(self, messages: list[Message]) -> None:
        for ten in chunks(messages, MOST_MESSAGES):
            given = {"QueueUrl": self._url, "Entries": _visible(ten)}
            with contextlib.suppress(HearthError):
                self._aws.call_blocking("sqs", "ChangeMessageVisibilityBatch", self._account, self._region, "", given)

    async def _delete(self, messages: list[Message]) -> bool:
        entries = _entries(messages)
        error = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(_PAUSE_S * 2**attempt)
            try:
                answer = await self._call("DeleteMessageBatch", QueueUrl=self._url, Entries=entries)
            except HearthError as exc:
                error = str(exc)
                continue
            failed = {one["Id"]: one for one in answer.get("Failed", ())}
            entries = [entry for entry in entries if entry["Id"] in failed]
            if not entries:
                return True
            error = str(next(iter(failed.values())).get("Message", ""))
        log.warning(
            "messages not deleted",
            extra={"action": "messages_not_deleted", "queue": self._name, "count": len(entries), "error": error},
        )
        return False

    async def _call(self, operation: str, **given: Any) -> dict[str, Any]:
        return await self._aws.call(
            "sqs", operation, account=self._account, region=self._region, deadline=Deadline.after(CALL_S), **given
        )


def ours_until_s(queue: SqsQueue) -> float:
    """Of messages received now: the monotonic second at which they may be others', with a margin for the way."""
    return time.monotonic() + max(0.0, queue.visibility_s * 0.9 - 1.0)


def _entries(messages: list[Message]) -> list[dict[str, Any]]:
    return [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]


def _visible(messages: list[Message]) -> list[dict[str, Any]]:
    return [{**entry, "VisibilityTimeout": 0} for entry in _entries(messages)]
