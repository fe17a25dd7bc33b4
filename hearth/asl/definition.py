"""The nouns of a state machine's definition, compiled: every path, template and expression is ready to evaluate.

`hearth.asl.parse` makes them from a definition's text, once per revision; the workflow core walks them. A state's data
flow (`flow`) hides which query language the state speaks, so the modules of the core are the same for both.
Names of states are unique in a whole definition, so `Definition.state(name)` finds one at any depth.
Source: Amazon States Language specification; Step Functions Developer Guide, "States".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hearth.asl.errors import runtime_error
from hearth.asl.scope import ABSENT, Expression, Json, Scope


class QueryLanguage(enum.StrEnum):
    JSONPATH = "JSONPath"
    JSONATA = "JSONata"


@dataclass(frozen=True, slots=True)
class Left:
    """How a state is left: its output, and the variables it assigns (empty if it has no Assign)."""

    output: Json
    assigned: Mapping[str, Json]


class DataFlow(Protocol):
    """A state's way from raw input to output, in the state's own query language. All methods raise StateError."""

    def effective_input(self, scope: Scope) -> Json:
        """What the state works on: InputPath then Parameters, or Arguments; the input itself if it has none.

        Of a Map only InputPath: its items have their own fields. Notes the steps in `scope.inspection`.
        """

    def leave(self, scope: Scope, result: Json) -> Left:
        """The output and the assignments, given the state's result.

        scope: as on entry (raw input). result: of Task, Parallel and Map what they got; of Pass its Result or
        effective input; of Wait, Choice and Succeed the effective input.
        JSONPath: ResultSelector, ResultPath (into the raw input), OutputPath; JSONata: Output.
        """


class Catching(Protocol):
    """The data flow of one Catcher."""

    def leave(self, scope: Scope, error_output: Json) -> Left:
        """Output and assignments. error_output: {"Error": …, "Cause": …}."""


class JitterStrategy(enum.StrEnum):
    NONE = "NONE"
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class Retrier:
    error_equals: tuple[str, ...]
    interval_s: int = 1
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay_s: int | None = None
    jitter: JitterStrategy = JitterStrategy.NONE

    def delay_s(self, attempt: int, random: float) -> float:
        """Seconds before retry number `attempt` (1 for the first). random: 0 ≤ x < 1, drawn by the caller."""
        try:
            delay: float = self.interval_s * self.backoff_rate ** (attempt - 1)
        except OverflowError:
            delay = float("inf")
        delay = min(delay, self.max_delay_s if self.max_delay_s is not None else 99_999_999)
        return delay * random if self.jitter is JitterStrategy.FULL else delay


@dataclass(frozen=True, slots=True)
class Catcher:
    error_equals: tuple[str, ...]
    next: str
    flow: Catching


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What every state has. `next` is None for states that end their branch (`End`, Succeed, Fail) and for Choice."""

    name: str
    language: QueryLanguage
    #: JSON-pointer-like place in the definition, as diagnostics write it: /States/M/ItemProcessor/States/Z
    pointer: str
    flow: DataFlow
    next: str | None = None
    comment: str = ""

    @property
    def type(self) -> str:
        """The state's `Type`, the prefix of its events: Task, Pass, …"""
        return _TYPE_NAMES[type(self)]


@dataclass(frozen=True, kw_only=True, slots=True)
class PassState(State):
    #: literal Result, else ABSENT: then the effective input is the result
    result: Json = ABSENT


@dataclass(frozen=True, kw_only=True, slots=True)
class SucceedState(State):
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class FailState(State):
    error: Expression | None = None
    cause: Expression | None = None

    def outcome(self, scope: Scope) -> tuple[str | None, str | None]:
        """(error, cause), each None if the state has none. Raises StateError."""
        return (
            self.error.evaluate(scope) if self.error else None,
            self.cause.evaluate(scope) if self.cause else None,
        )


class WakeTime(Protocol):
    """The field of a Wait state that says until when."""

    def at_ms(self, scope: Scope, now_ms: int) -> int:
        """Epoch ms at which the state is over. scope.input: the effective input. Raises StateError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitState(State):
    until: WakeTime


class Condition(Protocol):
    def holds(self, scope: Scope) -> bool:
        """Whether the rule matches. scope.input: the effective input. Raises StateError."""


@dataclass(frozen=True, slots=True)
class ChoiceRule:
    condition: Condition
    next: str
    #: leaves through the rule's own Output and Assign (the state's Output if the rule has none)
    flow: DataFlow


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceState(State):
    """`flow` is the way out through Default, with the state's own Assign."""

    choices: tuple[ChoiceRule, ...]
    default: str | None = None

    def choose(self, scope: Scope) -> tuple[str, DataFlow]:
        """(next state, the flow to leave by). scope.input: the effective input.

        Raises StateError: States.Runtime when no rule matches and there is no Default.
        """
        for rule in self.choices:
            if rule.condition.holds(scope):
                return rule.next, rule.flow
        if self.default is None:
            # AWS reports it so, not as the States.NoChoiceMatched of the language's specification
            raise runtime_error("Failed to transition out of the state. The state does not point to a next state.")
        return self.default, self.flow


class Pattern(enum.StrEnum):
    """How long a Task waits: until the call returns, until the job it starts ends, or until a token comes back."""

    REQUEST_RESPONSE = ""
    SYNC = "sync"
    SYNC_2 = "sync:2"
    WAIT_FOR_TASK_TOKEN = "waitForTaskToken"


class ResourceKind(enum.StrEnum):
    #: a function's ARN: LambdaFunction* events, the result is the function's own
    LAMBDA_FUNCTION = "lambda-function"
    ACTIVITY = "activity"
    #: an optimised integration, e.g. arn:aws:states:::sqs:sendMessage
    SERVICE = "service"
    #: arn:aws:states:::aws-sdk:service:action
    AWS_SDK = "aws-sdk"


@dataclass(frozen=True, slots=True)
class Resource:
    """A Task's Resource, taken apart.

    service: `lambda`, `states`, `http`, of AWS_SDK `s3` etc.; action: `invoke`, `getObject`; both "" for functions and
    activities.
    """

    arn: str
    kind: ResourceKind
    service: str = ""
    action: str = ""
    pattern: Pattern = Pattern.REQUEST_RESPONSE

    @property
    def event_resource_type(self) -> str:
        """`resourceType` of Task* events: `lambda`, `aws-sdk:s3`."""
        return f"aws-sdk:{self.service}" if self.kind is ResourceKind.AWS_SDK else self.service

    @property
    def event_resource(self) -> str:
        """`resource` of Task* events: `invoke`, `sendMessage.waitForTaskToken`."""
        return f"{self.action}.{self.pattern}" if self.pattern else self.action

    @property
    def has_token(self) -> bool:
        return self.pattern is not Pattern.REQUEST_RESPONSE


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskState(State):
    resource: Resource
    #: evaluate to a positive int (checked); None if the field is absent
    timeout_s: Expression | None = None
    heartbeat_s: Expression | None = None
    #: evaluates to {"RoleArn": …}
    credentials: Expression | None = None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """A container of states: the machine itself, a Parallel's branch, a Map's processor."""

    start_at: str
    states: Mapping[str, State]


@dataclass(frozen=True, kw_only=True, slots=True)
class ParallelState(State):
    branches: tuple[Branch, ...]
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


class ProcessorMode(enum.StrEnum):
    INLINE = "INLINE"
    DISTRIBUTED = "DISTRIBUTED"


class ExecutionType(enum.StrEnum):
    STANDARD = "STANDARD"
    EXPRESS = "EXPRESS"


@dataclass(frozen=True, kw_only=True, slots=True)
class Processor(Branch):
    mode: ProcessorMode = ProcessorMode.INLINE
    execution_type: ExecutionType = ExecutionType.STANDARD


@dataclass(frozen=True, slots=True)
class MapItem:
    """One item of a Map, as the Context object shows it under Map.Item."""

    index: int
    value: Json
    #: when the Map iterates over a JSON object, whose member `value` then is
    key: str | None = None
    #: Distributed: STATE_DATA or the S3 URI the item was read from
    source: str | None = None

    def context(self) -> dict[str, Json]:
        """The value of `Map.Item`."""
        item: dict[str, Json] = {"Index": self.index, "Value": self.value}
        if self.key is not None:
            item["Key"] = self.key
        if self.source is not None:
            item["Source"] = self.source
        return item

    def input(self) -> Json:
        """What its iteration gets where no ItemSelector says otherwise."""
        return self.value if self.key is None else {"Key": self.key, "Value": self.value}


class Items(Protocol):
    """Where a Map's items come from when no ItemReader gives them."""

    def items(self, scope: Scope) -> list[MapItem]:
        """scope.input: the effective input. Raises StateError."""


@dataclass(frozen=True, slots=True)
class ItemReader:
    """arguments evaluates to {"Bucket", "Key" | "Prefix", …}; config holds ReaderConfig's literal members."""

    resource: Resource
    arguments: Expression
    config: Mapping[str, Json]
    #: evaluates to an int ≥ 0 (checked); None: all
    max_items: Expression | None = None


@dataclass(frozen=True, slots=True)
class ItemBatcher:
    max_items: Expression | None = None
    max_input_bytes: Expression | None = None
    batch_input: Expression | None = None


@dataclass(frozen=True, slots=True)
class ResultWriter:
    resource: Resource | None
    arguments: Expression | None
    #: WriterConfig's literal members: Transformation, OutputType
    config: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MapState(State):
    """Evaluate in this order: flow.effective_input, max_concurrency, tolerated_*, items or item_reader, then per item
    item_selector (with `Map.Item` in the context), item_batcher; at the end flow.leave."""

    processor: Processor
    items: Items
    #: None: the item itself is the iteration's input
    item_selector: Expression | None = None
    max_concurrency: Expression | None = None
    tolerated_failure_count: Expression | None = None
    tolerated_failure_percentage: Expression | None = None
    label: str | None = None
    item_reader: ItemReader | None = None
    item_batcher: ItemBatcher | None = None
    result_writer: ResultWriter | None = None
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Catcher, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition(Branch):
    """A whole state machine."""

    language: QueryLanguage = QueryLanguage.JSONPATH
    #: budget of a whole execution
    timeout_s: int | None = None
    comment: str = ""
    #: every state at every depth
    all_states: Mapping[str, State]
    #: state → sorted names of the variables it reads, for states that read any (DescribeStateMachine)
    variable_references: Mapping[str, list[str]]

    def state(self, name: str) -> State:
        return self.all_states[name]


_TYPE_NAMES: dict[type[State], str] = {
    PassState: "Pass",
    SucceedState: "Succeed",
    FailState: "Fail",
    WaitState: "Wait",
    ChoiceState: "Choice",
    TaskState: "Task",
    ParallelState: "Parallel",
    MapState: "Map",
}
