"""What a benchmark is doing, said on stderr: stdout is for its tables."""

import sys


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
