"""Closed-loop load by official clients: N threads, each with the next request as soon as it has its answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.support.stack import PlatformStack


@dataclass(slots=True)
class Answer:
    """`code`: "ok", the FunctionError's type, or the AWS error code; "no answer" if the connection broke."""

    code: str
    payload: Any
    began_s: float
    ended_s: float


@dataclass(slots=True)
class Load:
    answers: list[Answer] = field(default_factory=list)

    @property
    def codes(self) -> Counter[str]:
        return Counter(answer.code for answer in self.answers)


def one(stack: PlatformStack, function: str, event: Any) -> Answer:
    began_s = time.monotonic()
    try:
        answer = stack.invoke(function, event)
        code = answer["Payload"]["errorType"] if "FunctionError" in answer else "ok"
        payload = answer["Payload"]
    except ClientError as exc:
        code, payload = exc.response["Error"]["Code"], exc.response["Error"].get("Message")
    except BotoCoreError as exc:
        code, payload = "no answer", repr(exc)
    return Answer(code, payload, began_s, time.monotonic())


def run(
    stack: PlatformStack,
    function: str,
    events: Iterable[Any],
    *,
    concurrency: int,
    at: int | None = None,
    do: Callable[[], object] | None = None,
) -> Load:
    """Send every event. When the answer number `at` has come, `do` is called once, in a thread of its own."""
    load, lock = Load(), threading.Lock()
    acting: list[Future[object]] = []
    actor = ThreadPoolExecutor(1)

    def send(event: Any) -> None:
        answer = one(stack, function, event)
        with lock:
            load.answers.append(answer)
            if do is not None and len(load.answers) == at:
                acting.append(actor.submit(do))

    stack.client("lambda")  # made before the threads: boto3's sessions are not for sharing while they make clients
    with ThreadPoolExecutor(concurrency) as threads:
        for future in [threads.submit(send, event) for event in events]:
            future.result()
    actor.shutdown()
    for future in acting:
        future.result()
    return load
