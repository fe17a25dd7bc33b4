"""Definitions: JSON or YAML text in, compiled states out. One function a state type.

Nothing is explained here: a text that `hearth.asl.lint` has not passed is refused in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import yaml

from hearth.asl import choice
from hearth.asl.compiler import FieldCompiler, Fields
from hearth.asl.definition import (
    Branch,
    Catcher,
    ChoiceRule,
    ChoiceState,
    Condition,
    Definition,
    ExecutionType,
    FailState,
    ItemBatcher,
    ItemReader,
    Items,
    JitterStrategy,
    MapState,
    ParallelState,
    PassState,
    Processor,
    ProcessorMode,
    QueryLanguage,
    Resource,
    ResourceKind,
    ResultWriter,
    Retrier,
    State,
    SucceedState,
    TaskState,
    WaitState,
    WakeTime,
)
from hearth.asl.fields import ItemsField, ItemsPath, SecondsPath, TextPath, WaitSeconds, WaitUntil
from hearth.asl.jsonata import Jsonata, compile_value
from hearth.asl.references import variables_read
from hearth.asl.resources import parse_resource
from hearth.asl.scope import ABSENT, Constant, Expression, Json


class InvalidDefinition(ValueError):
    """The text is not a definition. `lint` says why, and where."""


def parse_definition(text: str | bytes) -> Definition:
    """A whole state machine from JSON text. Raises InvalidDefinition."""
    try:
        return compile_definition(orjson.loads(text))
    except orjson.JSONDecodeError as exc:
        raise InvalidDefinition(f"not JSON: {exc}") from exc


def document_from_yaml(text: str) -> Json:
    """The document that a YAML definition stands for; its JSON text is what the API takes. Raises InvalidDefinition."""
    try:
        return yaml.load(text, Loader=_YamlLoader)
    except yaml.YAMLError as exc:
        raise InvalidDefinition(f"not YAML: {exc}") from exc


class _YamlLoader(yaml.SafeLoader):
    """JSON's types only: a timestamp stays the text it is written as."""


_YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def compile_definition(document: Json) -> Definition:
    """Raises InvalidDefinition."""
    try:
        compiling = _Compiling(_language(document, QueryLanguage.JSONPATH))
        branch = compiling.branch(document, "")
        return Definition(
            start_at=branch.start_at,
            states=branch.states,
            language=compiling.language,
            timeout_s=document.get("TimeoutSeconds"),
            comment=document.get("Comment", ""),
            all_states=compiling.states,
            variable_references=compiling.references,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InvalidDefinition(f"not a definition: {exc!r}") from exc


def compile_state(document: Json, name: str, language: QueryLanguage = QueryLanguage.JSONPATH) -> State:
    """One state on its own, as TestState takes it. Raises InvalidDefinition."""
    try:
        return _Compiling(language).state(name, document, f"/States/{name}")
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise InvalidDefinition(f"not a state: {exc!r}") from exc


def _language(fields: Fields, inherited: QueryLanguage) -> QueryLanguage:
    return QueryLanguage(fields.get("QueryLanguage", inherited))


class _Compiling:
    """A definition on its way: its states so far, at every depth."""

    def __init__(self, language: QueryLanguage) -> None:
        self.language = language
        self.states: dict[str, State] = {}
        self.references: dict[str, list[str]] = {}

    def branch(self, fields: Fields, pointer: str) -> Branch:
        return Branch(start_at=fields["StartAt"], states=self._states(fields, pointer))

    def _states(self, fields: Fields, pointer: str) -> dict[str, State]:
        return {name: self.state(name, state, f"{pointer}/States/{name}") for name, state in fields["States"].items()}

    def state(self, name: str, fields: Fields, pointer: str) -> State:
        # states inside a Map or Parallel inherit the machine's language, not that state's
        compiler = FieldCompiler(_language(fields, self.language))
        common = {
            "name": name,
            "language": compiler.language,
            "pointer": pointer,
            "next": None if fields.get("End") else fields.get("Next"),
            "comment": fields.get("Comment", ""),
        }
        state = _STATES[fields["Type"]](self, fields, compiler, common)
        self.states[name] = state
        if read := variables_read(compiler.expressions):
            self.references[name] = read
        return state

    def _pass(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        result = fields.get("Result", ABSENT)
        return PassState(**common, flow=compiler.flow(fields, result=True), result=result)

    def _succeed(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        return SucceedState(**common, flow=compiler.flow(fields, parameters=""))

    def _fail(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        def field(name: str) -> Expression | None:
            if (text := fields.get(f"{name}Path")) is not None and not compiler.jsonata:
                return TextPath(f"{name}Path", compiler.call_or_path(f"{name}Path", text), text)
            return compiler.text(fields, name)

        return FailState(
            **common, flow=compiler.flow(fields, parameters=""), error=field("Error"), cause=field("Cause")
        )

    def _wait(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        return WaitState(**common, flow=compiler.flow(fields, parameters=""), until=_until(fields, compiler))

    def _choice(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        rules = tuple(
            ChoiceRule(
                _condition(rule, compiler, f"Choices[{index}]"),
                rule["Next"],
                compiler.rule_flow(fields, rule, f"Choices[{index}]"),
            )
            for index, rule in enumerate(fields["Choices"])
        )
        flow = compiler.flow(fields, parameters="")
        return ChoiceState(**common, flow=flow, choices=rules, default=fields.get("Default"))

    def _task(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        return TaskState(
            **common,
            flow=compiler.flow(fields, result=True),
            resource=_resource(fields["Resource"]),
            timeout_s=compiler.number(fields, "TimeoutSeconds", minimum=1, maximum=99_999_999),
            heartbeat_s=compiler.number(fields, "HeartbeatSeconds", minimum=1, maximum=99_999_999),
            credentials=compiler.value(fields, "Credentials"),
            retry=_retry(fields),
            catch=_catch(fields, compiler),
        )

    def _parallel(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        branches = tuple(
            self.branch(branch, f"{common['pointer']}/Branches[{index}]")
            for index, branch in enumerate(fields["Branches"])
        )
        flow = compiler.flow(fields, result=True)
        return ParallelState(
            **common, flow=flow, branches=branches, retry=_retry(fields), catch=_catch(fields, compiler)
        )

    def _map(self, fields: Fields, compiler: FieldCompiler, common: dict[str, Any]) -> State:
        processor = self._processor(fields, common["pointer"])
        selector = "Parameters" if "Parameters" in fields and not compiler.jsonata else "ItemSelector"
        return MapState(
            **common,
            flow=compiler.flow(fields, parameters="", result=True),
            processor=processor,
            items=_items(fields, compiler, processor.mode),
            item_selector=compiler.value(fields, selector),
            max_concurrency=compiler.number(
                fields, "MaxConcurrency", minimum=0, complaint="MaxConcurrency cannot be negative."
            ),
            tolerated_failure_count=compiler.number(
                fields, "ToleratedFailureCount", minimum=0, complaint="ToleratedFailureCount cannot be negative."
            ),
            tolerated_failure_percentage=compiler.number(
                fields,
                "ToleratedFailurePercentage",
                unit="float",
                minimum=0,
                maximum=100,
                complaint="ToleratedFailurePercentage must be between 0 and 100.",
            ),
            label=fields.get("Label"),
            item_reader=_item_reader(fields, compiler),
            item_batcher=_item_batcher(fields, compiler),
            result_writer=_result_writer(fields, compiler),
            retry=_retry(fields),
            catch=_catch(fields, compiler),
        )

    def _processor(self, fields: Fields, pointer: str) -> Processor:
        name = "ItemProcessor" if "ItemProcessor" in fields else "Iterator"
        processor = fields[name]
        config = processor.get("ProcessorConfig", {})
        return Processor(
            start_at=processor["StartAt"],
            states=self._states(processor, f"{pointer}/{name}"),
            mode=ProcessorMode(config.get("Mode", ProcessorMode.INLINE)),
            execution_type=ExecutionType(config.get("ExecutionType", ExecutionType.STANDARD)),
        )


_STATES: dict[str, Callable[[_Compiling, Fields, FieldCompiler, dict[str, Any]], State]] = {
    "Pass": _Compiling._pass,
    "Succeed": _Compiling._succeed,
    "Fail": _Compiling._fail,
    "Wait": _Compiling._wait,
    "Choice": _Compiling._choice,
    "Task": _Compiling._task,
    "Parallel": _Compiling._parallel,
    "Map": _Compiling._map,
}


def _resource(arn: str) -> Resource:
    # what has no known form is still called, and then refused in the words of who does not know it
    return parse_resource(arn) or Resource(arn, ResourceKind.SERVICE)


def _until(fields: Fields, compiler: FieldCompiler) -> WakeTime:
    if "Timestamp" in fields:
        moment = compile_value(fields["Timestamp"], "Timestamp") if compiler.jsonata else Constant(fields["Timestamp"])
        compiler.expressions.append(moment)
        return WaitUntil(moment)
    if "TimestampPath" in fields:
        path = compiler.path(fields["TimestampPath"])
        return WaitUntil(path, path)
    if "SecondsPath" in fields:
        return WaitSeconds(SecondsPath(compiler.path(fields["SecondsPath"])))
    seconds = compiler.number(fields, "Seconds", minimum=0)
    if seconds is None:
        raise KeyError("Seconds")
    return WaitSeconds(seconds)


def _condition(rule: Fields, compiler: FieldCompiler, location: str) -> Condition:
    if compiler.jsonata:
        condition = compile_value(rule["Condition"], f"{location}/Condition", "boolean")
        compiler.expressions.append(condition)
        if isinstance(condition, Jsonata):
            return choice.JsonataCondition(condition)
        return choice.Literal(rule["Condition"] is True)
    if "And" in rule:
        return choice.All(tuple(_condition(inner, compiler, location) for inner in rule["And"]))
    if "Or" in rule:
        return choice.Any(tuple(_condition(inner, compiler, location) for inner in rule["Or"]))
    if "Not" in rule:
        return choice.Not(_condition(rule["Not"], compiler, location))
    (operator,) = choice.OPERATORS.intersection(rule)
    expected = compiler.path(rule[operator]) if operator.endswith("Path") else rule[operator]
    return choice.comparison(operator, compiler.path(rule["Variable"]), expected)


def _items(fields: Fields, compiler: FieldCompiler, mode: ProcessorMode) -> Items:
    objects = mode is ProcessorMode.DISTRIBUTED
    if compiler.jsonata:
        return ItemsField(compiler.value(fields, "Items"), objects)
    text = fields.get("ItemsPath", "$")
    path: Expression = compiler.path(text) if text.startswith("$") else compiler.call_or_path("ItemsPath", text)
    return ItemsPath(path, text, objects)


def _item_reader(fields: Fields, compiler: FieldCompiler) -> ItemReader | None:
    if "ItemReader" not in fields:
        return None
    reader = fields["ItemReader"]
    config = reader.get("ReaderConfig", {})
    name = "Arguments" if compiler.jsonata else "Parameters"
    return ItemReader(
        _resource(reader["Resource"]),
        compiler.value(reader, name, "ItemReader") or Constant({}),
        {key: value for key, value in config.items() if key not in ("MaxItems", "MaxItemsPath")},
        compiler.number(config, "MaxItems", location="ItemReader/ReaderConfig"),
    )


def _item_batcher(fields: Fields, compiler: FieldCompiler) -> ItemBatcher | None:
    if "ItemBatcher" not in fields:
        return None
    batcher = fields["ItemBatcher"]
    return ItemBatcher(
        compiler.number(batcher, "MaxItemsPerBatch", location="ItemBatcher", minimum=1),
        compiler.number(batcher, "MaxInputBytesPerBatch", location="ItemBatcher", minimum=1),
        compiler.value(batcher, "BatchInput", "ItemBatcher"),
    )


def _result_writer(fields: Fields, compiler: FieldCompiler) -> ResultWriter | None:
    if "ResultWriter" not in fields:
        return None
    writer = fields["ResultWriter"]
    name = "Arguments" if compiler.jsonata else "Parameters"
    return ResultWriter(
        _resource(writer["Resource"]) if "Resource" in writer else None,
        compiler.value(writer, name, "ResultWriter"),
        writer.get("WriterConfig", {}),
    )


def _retry(fields: Fields) -> tuple[Retrier, ...]:
    return tuple(
        Retrier(
            tuple(retrier["ErrorEquals"]),
            retrier.get("IntervalSeconds", 1),
            retrier.get("MaxAttempts", 3),
            retrier.get("BackoffRate", 2.0),
            retrier.get("MaxDelaySeconds"),
            JitterStrategy(retrier.get("JitterStrategy", JitterStrategy.NONE)),
        )
        for retrier in fields.get("Retry", ())
    )


def _catch(fields: Fields, compiler: FieldCompiler) -> tuple[Catcher, ...]:
    return tuple(
        Catcher(tuple(catcher["ErrorEquals"]), catcher["Next"], compiler.catching(catcher, f"Catch[{index}]"))
        for index, catcher in enumerate(fields.get("Catch", ()))
    )
