"""The `hearth` command as users run it: a process of its own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from hearth.embedded.process import end_with

_LONG_S = 180.0


def hearth(*arguments: str, env: Mapping[str, str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; stdout and stderr apart."""
    return subprocess.run(
        [sys.executable, "-m", "hearth.cli", *arguments],
        env=os.environ | env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_LONG_S,
        check=False,
    )


class Terminal:
    """`hearth up` on a pseudo-terminal of its own, where Ctrl-C means what it means to people."""

    def __init__(self, *arguments: str, env: Mapping[str, str]) -> None:
        ours, theirs = pty.openpty()
        prepare = end_with(os.getpid(), signal.SIGTERM)

        def on_own_terminal() -> None:
            prepare()
            os.login_tty(theirs)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "hearth.cli", *arguments],
            env=os.environ | env | {"TERM": "xterm", "COLUMNS": "160"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=on_own_terminal,
        )
        os.close(theirs)
        self._terminal = ours
        self._seen = b""
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it in order if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.wait()
        self._reader.join(5)
        os.close(self._terminal)

    @property
    def text(self) -> str:
        return self._seen.decode("utf-8", "replace")

    def wait_for(self, text: str, *, since: int = 0) -> None:
        """Until `text` was printed after the first `since` characters; raises with all there was otherwise."""
        until = time.monotonic() + _LONG_S
        while text not in self.text[since:]:
            if self.process.poll() is not None or time.monotonic() > until:
                self._reader.join(2)
                if text in self.text[since:]:
                    return
                raise AssertionError(f"{text!r} was not printed; status {self.process.poll()}:\n{self.text}")
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.write(self._terminal, b"\x03")

    def wait(self) -> int:
        return self.process.wait(_LONG_S)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._terminal, 65536)
            except OSError:
                return
            if not chunk:
                return
            self._seen += chunk


def up_environ(data: Path) -> dict[str, str]:
    """An own platform on free ports that is small and stops fast."""
    return {
        "HEARTH_DATA": str(data),
        "HEARTH_PORT": "0",
        "HEARTH_GATEWAY_PROCESSES": "1",
        "HEARTH_DRAIN_SECONDS": "5",
    }
