"""Walks a definition, container by container and state by state, and checks every object against its schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from hearth.asl import integrations
from hearth.asl.definition import Pattern, QueryLanguage, ResourceKind
from hearth.asl.jsonata import is_expression
from hearth.asl.lint import diagnostics as say
from hearth.asl.lint import graph, schema, values
from hearth.asl.lint.diagnostics import Findings
from hearth.asl.lint.schema import Field
from hearth.asl.lint.values import Checking
from hearth.asl.resources import parse_resource
from hearth.asl.scope import Json

#: in the order in which the service lists them
STATE_TYPES = ("Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map")
_TRANSITIONLESS = ("Succeed", "Fail", "Choice")


class Walk:
    """One definition. express: it is one of an Express state machine."""

    def __init__(self, *, express: bool) -> None:
        self.findings = Findings()
        self.express = express
        self.language = QueryLanguage.JSONPATH
        self.names: set[str] = set()

    def machine(self, document: Json) -> None:
        language = document.get("QueryLanguage", QueryLanguage.JSONPATH)
        # whatever isn't exactly JSONPath counts as JSONata for all other checks
        self.language = QueryLanguage.JSONPATH if language == QueryLanguage.JSONPATH else QueryLanguage.JSONATA
        self._fields(self._checking(), document, schema.MACHINE, "")
        self._container(document, "", frozenset())
        graph.check(document, self.findings)

    def _checking(self, language: QueryLanguage | None = None) -> Checking:
        return Checking(self.findings, language or self.language, self.express)

    def _fields(
        self, checking: Checking, fields: Mapping[str, Json], known: Mapping[str, Field], location: str
    ) -> None:
        """Unknown ones, those of the other language, missing ones, and then each value."""
        here = location or "/"
        language, other = checking.language, _other(checking.language)
        for name in fields:
            if name not in known:
                checking.add(say.not_supported(name), here)
            elif (known[name].only or language) is not language:
                checking.add(say.other_language(name, language, other), here)
        for name, field in known.items():
            if field.required and name not in fields:
                checking.add(say.required(name), here)
        for name, value in fields.items():
            self._pair(checking, fields, name, here)
            if name in known and (known[name].only or language) is language:
                usual = checking.states_members
                checking.states_members = usual | known[name].members
                known[name].check(checking, value, f"{location}/{name}")
                checking.states_members = usual

    @staticmethod
    def _pair(checking: Checking, fields: Mapping[str, Json], name: str, location: str) -> None:
        if f"{name}Path" in fields and name not in ("Result", "Seconds", "Timestamp"):
            checking.add(say.only_one_of((name, f"{name}Path")), location)

    def _container(self, document: Json, location: str, outer: frozenset[str]) -> None:
        """StartAt and States of the machine, a branch or a processor. outer: variables of the scopes around it."""
        missing = [name for name in ("States", "StartAt") if name not in document]
        if missing:
            self.findings.add(f"These fields are required: {say.listed(missing)}", location or "/")
        if "States" not in document:
            return
        states = document["States"]
        if not isinstance(states, dict):
            self.findings.add(say.wrong_type("Object"), f"{location}/States")
            return
        if not states:
            self.findings.add(say.EMPTY, f"{location}/States")
        assigned = {name: frozenset(self._assigned(state)) for name, state in states.items()}
        assigners = Counter(variable for variables in assigned.values() for variable in variables)
        for name, state in states.items():
            self._named(name, f"{location}/States/{name}")
            visible = outer
            if isinstance(state, dict) and state.get("Type") in ("Map", "Parallel"):
                # what the state itself assigns comes to be when its inside is gone
                visible |= {variable for variable, times in assigners.items() if times > (variable in assigned[name])}
            self.state(name, state, f"{location}/States/{name}", outer, visible)

    def _named(self, name: str, location: str) -> None:
        if not values.state_name(name):
            self.findings.add("State name must have 1 to 80 characters", location)
        if name in self.names:
            self.findings.add(f"Duplicate state name: {name}", location, say.DUPLICATE_NAME)
        self.names.add(name)

    def _assigned(self, state: Json) -> Iterable[str]:
        """Variables that a state assigns, also by its rules and catchers."""
        if not isinstance(state, dict):
            return
        jsonata = self._language_of(state) is QueryLanguage.JSONATA
        for holder in (state, *_objects(state.get("Catch")), *_objects(state.get("Choices"))):
            yield from values.variable_names(holder.get("Assign"), jsonata=jsonata)

    def _language_of(self, state: Mapping[str, Json]) -> QueryLanguage:
        own = state.get("QueryLanguage", self.language)
        return QueryLanguage.JSONPATH if own == QueryLanguage.JSONPATH else QueryLanguage.JSONATA

    def state(
        self,
        name: str,
        state: Json,
        location: str,
        outer: frozenset[str] = frozenset(),
        visible: frozenset[str] = frozenset(),
    ) -> None:
        """outer: variables of enclosing scopes, which it may not assign. visible: those that its own inside sees."""
        if not isinstance(state, dict):
            self.findings.add(say.wrong_type("Object"), location)
            return
        kind = state.get("Type")
        if kind is not None and kind not in STATE_TYPES:
            self.findings.add(say.one_of_values("Type", STATE_TYPES), f"{location}/Type")
            return
        if kind is None:
            self.findings.add(say.required("Type"), location)
            return
        if self.language is QueryLanguage.JSONATA and state.get("QueryLanguage") == QueryLanguage.JSONPATH:
            self.findings.add(say.LANGUAGE_CHANGED, location)
            return
        checking = self._checking(self._language_of(state))
        self._fields(checking, state, schema.STATES[kind], location)
        if kind not in _TRANSITIONLESS:
            self._transition(state, location)
        if kind in schema.EXACTLY_ONE:
            self._exactly_one(state, schema.EXACTLY_ONE[kind], location)
        for again in sorted(outer.intersection(self._assigned(state))):
            self.findings.add(f"Variable '{again}' is assigned in an outer scope already", f"{location}/Assign")
        self._retry_and_catch(checking, state, location)
        match kind:
            case "Task":
                self._task(checking, state, location)
            case "Choice":
                self._choices(checking, state, location)
            case "Parallel":
                self._parallel(state, location, visible)
            case "Map":
                self._map(checking, state, location, visible)

    def _transition(self, state: Mapping[str, Json], location: str) -> None:
        if "Next" in state and state.get("End") is True:
            self.findings.add(say.only_one_of(("Next", "End")), location)
        elif "Next" not in state and "End" not in state:
            self.findings.add(say.at_least_one_of(("Next", "End")), location)

    def _exactly_one(self, state: Mapping[str, Json], names: tuple[str, ...], location: str) -> None:
        there = [name for name in names if name in state]
        if len(there) > 1:
            self.findings.add(say.only_one_of(there), location)
        elif not there:
            self.findings.add(say.at_least_one_of(names), location)

    def _retry_and_catch(self, checking: Checking, state: Mapping[str, Json], location: str) -> None:
        for name, known in (("Retry", schema.RETRIER), ("Catch", schema.CATCHER)):
            if name not in schema.STATES[state["Type"]] or name not in state:
                continue
            given = state[name]
            if not isinstance(given, list):
                self.findings.add(say.wrong_type("Array"), f"{location}/{name}")
                continue
            for index, member in enumerate(given):
                here = f"{location}/{name}[{index}]"
                if not isinstance(member, dict):
                    self.findings.add(say.wrong_type("Object"), here)
                    continue
                self._fields(checking, member, known, here)
                if "States.ALL" in _strings(member.get("ErrorEquals")) and index < len(given) - 1:
                    self.findings.add(f"States.ALL must appear in the last of {name}", f"{here}/ErrorEquals")

    def _task(self, checking: Checking, state: Mapping[str, Json], location: str) -> None:
        arn = state.get("Resource")
        if isinstance(arn, str):
            self._resource(checking, arn, f"{location}/Resource")
        timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
            self.findings.add("HeartbeatSeconds must be smaller than TimeoutSeconds", location)

    def _resource(self, checking: Checking, arn: str, location: str) -> None:
        resource = parse_resource(arn)
        if resource is None or not integrations.is_known(resource):
            self._unknown(arn, location)
        elif not self.express:
            return
        elif resource.pattern is Pattern.WAIT_FOR_TASK_TOKEN:
            # the blank at the end is the service's
            text = "Express state machine does not support '.waitForTaskToken' service integration "
            checking.add(text, location)
        elif resource.pattern in (Pattern.SYNC, Pattern.SYNC_2):
            checking.add("Express state machine does not support '.sync' service integration", location)
        elif resource.kind is ResourceKind.ACTIVITY:
            checking.add("Express state machine does not support Activity ARN", location)

    def _unknown(self, arn: str, location: str) -> None:
        self.findings.add(
            f"The resource provided {arn} is not recognized. The value is not a valid resource ARN, or the resource is "
            "not available in this region.",
            location,
        )

    def _choices(self, checking: Checking, state: Mapping[str, Json], location: str) -> None:
        if "Choices" not in state:
            return
        choices = state["Choices"]
        if not isinstance(choices, list):
            self.findings.add(say.wrong_type("Array"), f"{location}/Choices")
        elif not choices:
            self.findings.add(say.EMPTY, f"{location}/Choices")
        for index, rule in enumerate(_list(choices)):
            here = f"{location}/Choices[{index}]"
            if not isinstance(rule, dict):
                self.findings.add(say.wrong_type("Object"), here)
                continue
            if checking.jsonata:
                self._fields(checking, rule, schema.RULE, here)
                if "Condition" not in rule:
                    self.findings.add(say.required("Condition"), here)
            else:
                self._rule(checking, rule, schema.RULE, here)

    def _rule(self, checking: Checking, rule: Mapping[str, Json], known: Mapping[str, Field], location: str) -> None:
        self._fields(checking, rule, known, location)
        operators = [name for name in rule if name in schema.OPERATORS]
        if len(operators) > 1:
            self.findings.add(say.only_one_of(operators), location)
        elif not operators:
            self.findings.add("A choice rule must have exactly one comparison operator", location)
        if operators and operators[0] not in ("And", "Or", "Not") and "Variable" not in rule:
            self.findings.add(say.required("Variable"), location)
        for name in ("And", "Or"):
            if name not in rule:
                continue
            inner = rule[name]
            if not isinstance(inner, list) or not inner:
                self.findings.add(say.EMPTY if inner == [] else say.wrong_type("Array"), f"{location}/{name}")
                continue
            for index, member in enumerate(inner):
                self._inner_rule(checking, member, f"{location}/{name}[{index}]")
        if "Not" in rule:
            self._inner_rule(checking, rule["Not"], f"{location}/Not")

    def _inner_rule(self, checking: Checking, rule: Json, location: str) -> None:
        if not isinstance(rule, dict):
            self.findings.add(say.wrong_type("Object"), location)
            return
        self._rule(checking, rule, schema.COMPARISON, location)

    def _parallel(self, state: Mapping[str, Json], location: str, visible: frozenset[str]) -> None:
        if "Branches" not in state:
            return
        branches = state["Branches"]
        if not isinstance(branches, list):
            self.findings.add(say.wrong_type("Array"), f"{location}/Branches")
        elif not branches:
            self.findings.add(say.EMPTY, f"{location}/Branches")
        for index, branch in enumerate(_list(branches)):
            self._inside(branch, schema.BRANCH, f"{location}/Branches[{index}]", visible)

    def _inside(self, document: Json, known: Mapping[str, Field], location: str, outer: frozenset[str]) -> None:
        if not isinstance(document, dict):
            self.findings.add(say.wrong_type("Object"), location)
            return
        self._fields(self._checking(), document, known, location)
        self._container(document, location, outer)

    def _map(self, checking: Checking, state: Mapping[str, Json], location: str, visible: frozenset[str]) -> None:
        name = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
        processor = state.get(name)
        config = processor.get("ProcessorConfig", {}) if isinstance(processor, dict) else {}
        distributed = isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED"
        if isinstance(config, dict):
            here = f"{location}/{name}/ProcessorConfig"
            self._fields(self._checking(), config, schema.PROCESSOR_CONFIG, here)
            if distributed and "ExecutionType" not in config:
                self.findings.add(say.required("ExecutionType"), here)
        if name in state:
            # child executions of a distributed Map see no variables from outside
            outer = frozenset[str]() if distributed else visible
            self._inside(processor, schema.PROCESSOR, f"{location}/{name}", outer)
        if "Parameters" in state and "ItemSelector" in state:
            self.findings.add(say.only_one_of(("ItemSelector", "Parameters")), location)
        if distributed and self.express:
            self.findings.add("Express state machine does not support distributed Map state", location)
        self._parts(checking, state, location, distributed)

    def _parts(self, checking: Checking, state: Mapping[str, Json], location: str, distributed: bool) -> None:
        """ItemReader, ItemBatcher, ResultWriter and what is inside them."""
        parts: tuple[tuple[str, dict[str, Field], str, dict[str, Field], frozenset[tuple[str, str]]], ...] = (
            ("ItemReader", schema.ITEM_READER, "ReaderConfig", schema.READER_CONFIG, integrations.READERS),
            ("ItemBatcher", schema.ITEM_BATCHER, "", {}, frozenset()),
            ("ResultWriter", schema.RESULT_WRITER, "WriterConfig", schema.WRITER_CONFIG, integrations.WRITERS),
        )
        for name, known, config, config_known, resources in parts:
            if name not in state:
                continue
            here, part = f"{location}/{name}", state[name]
            if not distributed:
                self.findings.add(say.not_supported(name), location)
            if not isinstance(part, dict):
                self.findings.add(say.wrong_type("Object"), here)
                continue
            self._fields(checking, part, known, here)
            if config in part and isinstance(part[config], dict):
                self._fields(checking, part[config], config_known, f"{here}/{config}")
            if isinstance(arn := part.get("Resource"), str):
                resource = parse_resource(arn)
                if resource is None or (resource.service, resource.action) not in resources:
                    self._unknown(arn, f"{here}/Resource")
            if name in schema.AT_LEAST_ONE and not any(one in part for one in schema.AT_LEAST_ONE[name]):
                self.findings.add(say.at_least_one_of(schema.AT_LEAST_ONE[name]), here)
            if name == "ItemReader":
                self._csv_headers(part.get("ReaderConfig"), f"{here}/ReaderConfig")

    def _csv_headers(self, config: Json, location: str) -> None:
        headers = config.get("CSVHeaders") if isinstance(config, dict) else None
        if headers is None or is_expression(headers):
            return
        if not isinstance(headers, list) or not all(isinstance(header, str) for header in headers):
            self.findings.add(say.wrong_type("Array of String"), f"{location}/CSVHeaders")


def _other(language: QueryLanguage) -> QueryLanguage:
    return QueryLanguage.JSONPATH if language is QueryLanguage.JSONATA else QueryLanguage.JSONATA


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _objects(value: Json) -> list[dict[str, Json]]:
    return [member for member in _list(value) if isinstance(member, dict)]


def _strings(value: Json) -> list[str]:
    return [member for member in _list(value) if isinstance(member, str)]
