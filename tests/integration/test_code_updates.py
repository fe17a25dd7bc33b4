"""Code replaced under load; tests/faults has the long run."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.support.code_updates import code, replace_under_load
from tests.support.extensions import subscriber
from tests.support.functions import zip_of, zip_of_folder
from tests.support.stack import PlatformStack


def test_code_replaced_under_load_fails_no_request_and_answers_with_what_was_current(stack: PlatformStack) -> None:
    run = replace_under_load(stack, updates=6, every_s=0.6, concurrency=8)

    assert run.failed() == []
    assert run.untimely() == []
    # on a crowded machine one may come and go unseen
    assert len({answer.payload for answer in run.answers} & set(range(1, 6))) >= 3


def test_first_invoke_after_the_waiter_runs_new_code_with_reserved_concurrency_one(stack: PlatformStack) -> None:
    function, lambda_ = stack.deploy(None, code(0)), stack.client("lambda")
    lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    assert stack.invoke(function)["Payload"] == 0
    for number in range(1, 5):
        lambda_.update_function_code(FunctionName=function, ZipFile=zip_of(code(number)))
        lambda_.get_waiter("function_updated_v2").wait(
            FunctionName=function, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )
        assert stack.invoke(function)["Payload"] == number


def test_extensions_that_take_their_time_to_end_do_not_hold_up_the_new_code(
    stack: PlatformStack, tmp_path: Path
) -> None:
    """A sandbox that is shut down runs nothing, so it does not count as concurrency."""
    lambda_ = stack.client("lambda")
    script = tmp_path / "extensions" / "slow"
    script.parent.mkdir()
    script.write_text(subscriber(shutdown_s=1.8))
    script.chmod(0o755)
    content = {"ZipFile": zip_of_folder(tmp_path)}
    layer = lambda_.publish_layer_version(LayerName=f"slow-{uuid.uuid4().hex[:8]}", Content=content)
    function = stack.deploy(None, code(0), Layers=[layer["LayerVersionArn"]])
    lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    assert stack.invoke(function)["Payload"] == 0
    for number in range(1, 3):
        lambda_.update_function_code(FunctionName=function, ZipFile=zip_of(code(number)))
        wait = lambda_.get_waiter("function_updated_v2").wait
        wait(FunctionName=function, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
        assert stack.invoke(function)["Payload"] == number
