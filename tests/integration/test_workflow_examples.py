"""The samples of examples/workflows, run with boto3 against the whole platform."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.companion import CompanionServer
from tests.support.functions import zip_of
from tests.support.stack import PlatformStack

EXAMPLES = Path(__file__).parents[2] / "examples" / "workflows"
ROLE = "arn:aws:iam::000000000000:role/test"
FUNCTIONS = ("price", "reserve", "charge", "release", "ship", "unreliable", "count_sales", "add_up")
ORDER = {"items": [{"name": "book", "count": 2}, {"name": "pen", "count": 3}], "card": "mine"}


@pytest.fixture(scope="module")
def machines(stack: PlatformStack) -> Iterator[dict[str, str]]:
    """name -> ARN of every example, its functions deployed."""
    package = zip_of(shop__py=(EXAMPLES / "functions" / "shop.py").read_text())
    for name in FUNCTIONS:
        stack.deploy(name, package, Handler=f"shop.{name}")
    states = stack.client("stepfunctions", inject_host_prefix=False)
    made = {}
    for path in sorted(EXAMPLES.glob("*.asl.json")):
        name = path.name.removesuffix(".asl.json")
        answer = states.create_state_machine(name=name, definition=path.read_text(), roleArn=ROLE)
        made[name] = answer["stateMachineArn"]
    yield made
    for arn in made.values():
        states.delete_state_machine(stateMachineArn=arn)
    for name in FUNCTIONS:
        stack.client("lambda").delete_function(FunctionName=name)


class Example:
    def __init__(self, stack: PlatformStack, machines: dict[str, str]) -> None:
        self.states = stack.client("stepfunctions", inject_host_prefix=False)
        self.machines = machines

    def start(self, name: str, input: Any) -> str:
        started = self.states.start_execution(stateMachineArn=self.machines[name], input=json.dumps(input))
        return str(started["executionArn"])

    def ended(self, arn: str, wait_s: float = 60.0) -> dict[str, Any]:
        until = time.monotonic() + wait_s
        while (found := self.states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < until, self.states.get_execution_history(executionArn=arn)["events"]
            time.sleep(0.02)
        return dict(found)

    def output(self, name: str, input: Any) -> Any:
        found = self.ended(self.start(name, input))
        assert found["status"] == "SUCCEEDED", found
        return json.loads(found["output"])


@pytest.fixture
def example(stack: PlatformStack, machines: dict[str, str]) -> Example:
    return Example(stack, machines)


def test_function_orchestration(example: Example) -> None:
    assert example.output("function-orchestration", ORDER) == ORDER | {
        "price": {"total": 30},
        "payment": {"receipt": "paid 30"},
        "shipment": {"parcel": "5 things"},
    }


def test_branching(example: Example) -> None:
    assert example.output("branching", {"total": 2000, "customer": "new"}) == {"way": "prepaid"}
    assert example.output("branching", {"total": 2000, "customer": "known"}) == {"way": "free"}
    assert example.output("branching", {"total": 12.5, "customer": "new"}) == {"way": "standard", "fee": 1.25}


def test_retry_and_catch(example: Example) -> None:
    assert example.output("retry-and-catch", {"works_at": 1}) == {"attempts": 2}
    assert example.output("retry-and-catch", {"works_at": 9}) == {"told": "on call", "why": "ConnectionError"}


def test_parallel(example: Example) -> None:
    assert example.output("parallel", ORDER) == {"total": 30, "reservation": "r-2"}


def test_dynamic_parallel_over_a_thousand_items(example: Example) -> None:
    assert example.output("dynamic-parallel", {"count": 1000}) == {"squares": 1000, "sum": 333833500}


@pytest.mark.parametrize("approved", [True, False])
def test_human_approval(example: Example, approved: bool) -> None:
    arn = example.start("human-approval", ORDER)
    until = time.monotonic() + 60
    while not (asked := [
        event for event in example.states.get_execution_history(executionArn=arn)["events"]
        if event["type"] == "TaskSubmitted"
    ]):  # fmt: skip
        assert time.monotonic() < until
        time.sleep(0.02)
    assert asked
    events = example.states.get_execution_history(executionArn=arn)["events"]
    (scheduled,) = [event for event in events if event["type"] == "TaskScheduled"]
    token = json.loads(scheduled["taskScheduledEventDetails"]["parameters"])["Payload"]["token"]
    example.states.send_task_success(taskToken=token, output=json.dumps({"approved": approved}))
    found = example.ended(arn)
    if approved:
        assert json.loads(found["output"]) == {"approved": True}
    else:
        assert (found["status"], found["error"], found["cause"]) == ("FAILED", "Refused", "Nobody has approved it.")


def test_saga(example: Example) -> None:
    given = ORDER | {"total": 30}
    assert example.output("saga", given)["payment"] == {"receipt": "paid 30"}
    found = example.ended(example.start("saga", given | {"card": "stolen"}))
    assert (found["status"], found["error"], found["cause"]) == ("FAILED", "CardDeclined", "r-2")
    found = example.ended(example.start("saga", given | {"items": [{"name": "unicorn", "count": 1}]}))
    assert found["error"] == "OutOfStock"


def test_nested(example: Example) -> None:
    given = ORDER | {"machine": example.machines["function-orchestration"]}
    assert example.output("nested", given) == {"parcel": "5 things"}


def test_map_reduce_over_csv_in_s3(example: Example, stack: PlatformStack) -> None:
    rows = [f"{('book', 'pen', 'lamp')[number % 3]},{number % 4 + 1}" for number in range(300)]
    expected: dict[str, int] = {}
    for row in rows:
        product, count = row.split(",")
        expected[product] = expected.get(product, 0) + int(count)
    with CompanionServer(stack.companion_port) as companion:
        s3 = companion.client("s3")
        s3.create_bucket(Bucket="sales")
        s3.put_object(Bucket="sales", Key="day.csv", Body="\n".join(["product,count", *rows]).encode())
        assert example.output("map-reduce", {"bucket": "sales", "key": "day.csv"}) == expected


@pytest.fixture
def endless(example: Example) -> Iterator[str]:
    """A machine that counts as far as a history goes."""
    states = {
        "Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Enough"},
        "Enough": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 6000, "Next": "Add"}],
            "Default": "End",
        },
        "End": {"Type": "Succeed"},
    }
    definition = json.dumps({"StartAt": "Add", "States": states})
    made = example.states.create_state_machine(name="counting", definition=definition, roleArn=ROLE)
    yield made["stateMachineArn"]
    example.states.delete_state_machine(stateMachineArn=made["stateMachineArn"])


def test_long_waits_and_loops_survive_their_orchestrator(example: Example, stack: PlatformStack, endless: str) -> None:
    waiting = example.start("long-wait", {"seconds": 2})
    start = {"stateMachineArn": endless, "input": '{"n": 0}'}
    counting = [example.states.start_execution(**start)["executionArn"] for _ in range(3)]
    until = time.monotonic() + 60
    while not example.states.get_execution_history(executionArn=counting[0], maxResults=1)["events"]:
        assert time.monotonic() < until
        time.sleep(0.02)  # the first of its decisions is not committed
    stack.kill("orchestrator")
    running = [example.states.describe_execution(executionArn=arn)["status"] for arn in counting]
    stack.stop("orchestrator")
    stack.start("orchestrator")
    assert json.loads(example.ended(waiting)["output"]) == {"waited": 2}
    assert "RUNNING" in running
    for arn in counting:
        assert json.loads(example.ended(arn)["output"]) == {"n": 6000}
