"""The sandbox's transition table, and how endings are worded."""

from __future__ import annotations

import itertools

import orjson
import pytest

from hearth.errors import InvariantViolated
from workers.lifecycle import endings
from workers.sandbox.runtime_api import Ending, InitError
from workers.sandbox.state import SandboxState as S
from workers.sandbox.state import next_state
from workers.sandbox.supervisor import Exit

ID = "7f3a6d0e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    "life",
    [
        (S.NEW, S.INITIALIZING, S.READY, S.INVOKING, S.READY, S.SHUTTING_DOWN, S.STOPPED),
        (S.NEW, S.INITIALIZING, S.INIT_FAILED, S.INITIALIZING, S.READY, S.INVOKING, S.SHUTTING_DOWN, S.STOPPED),
        (S.NEW, S.SHUTTING_DOWN, S.STOPPED),
        (S.READY, S.INIT_FAILED, S.INITIALIZING, S.SHUTTING_DOWN),
        (S.INVOKING, S.INIT_FAILED, S.INITIALIZING, S.READY),
    ],
)
def test_lives_that_can_be(life: tuple[S, ...]) -> None:
    for now, wanted in itertools.pairwise(life):
        assert next_state(now, wanted) is wanted


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (S.NEW, S.READY),
        (S.NEW, S.INVOKING),
        (S.INVOKING, S.INVOKING),
        (S.STOPPED, S.INITIALIZING),
        (S.READY, S.STOPPED),
    ],
)
def test_a_step_that_is_not_in_the_table_is_a_bug(now: S, wanted: S) -> None:
    with pytest.raises(InvariantViolated):
        next_state(now, wanted)


@pytest.mark.parametrize(
    ("exit", "error_type", "message"),
    [
        (Exit(0, None, False), "Runtime.ExitError", "Runtime exited without providing a reason"),
        (Exit(1, None, False), "Runtime.ExitError", "Runtime exited with error: exit status 1"),
        (Exit(None, 9, False), "Runtime.ExitError", "Runtime exited with error: signal: killed"),
        (Exit(None, 11, False), "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
        (Exit(None, 15, False), "Runtime.ExitError", "Runtime exited with error: signal: terminated"),
        (Exit(None, 40, False), "Runtime.ExitError", "Runtime exited with error: signal: signal 40"),
        (Exit(None, 9, True), "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"),
    ],
)
def test_exits_are_worded_as_aws_does(exit: Exit, error_type: str, message: str) -> None:
    ending = endings.after_exit(exit)
    assert (ending.error_type, ending.message, ending.timed_out) == (error_type, message, False)


def test_the_timeout_document_is_the_recorded_one() -> None:
    assert endings.document(ID, endings.after_timeout(3)) == (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: %b Error: Task timed out after 3.00 seconds"}'
        % ID.encode()
    )


def test_an_unclassified_init_error_is_unknown_in_the_log() -> None:
    known = InitError(orjson.dumps({"errorMessage": "no such module"}), "application/json", "Runtime.ImportModuleError")
    assert endings.init_error_message(known) == "no such module"
    assert (
        endings.init_error_message(known._replace(error_type="Runtime.Unknown")) == "Unknown application error occurred"
    )
    assert endings.init_error_message(known._replace(body=b"[1")) == "Unknown application error occurred"


def test_only_equal_endings_are_equal() -> None:
    assert endings.after_timeout(1) != Ending("Sandbox.Timedout", "", timed_out=True)
