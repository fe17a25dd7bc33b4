"""Callers that never pause, while something happens to the stack."""

from __future__ import annotations

import json
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

from tests.compose.stack import HEAL_S, Stack, require


class Traffic:
    """Four callers in a closed loop, without retries, for as long as the context lasts."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(4)]
        self.answered = 0
        self.failures: list[str] = []

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, answers: int) -> None:
        """Wait for so many more."""
        wanted, until_s = self.answered + answers, time.monotonic() + HEAL_S
        while self.answered < wanted and not self.failures:
            require(time.monotonic() < until_s, "callers get no answers")
            time.sleep(0.1)

    def _call(self) -> None:
        client, number = self._stack.client("lambda"), 0
        while not self._stop.is_set():
            number += 1
            try:
                answer = client.invoke(FunctionName="hello", Payload=json.dumps({"number": number}).encode())
                if json.loads(answer["Payload"].read())["number"] != number:
                    self.failures.append(f"another's answer to {number}")
            except (ClientError, BotoCoreError, ValueError, KeyError) as exc:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {exc!r}")
            self.answered += 1
