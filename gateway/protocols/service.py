"""A service by the name of its botocore model: its wire protocol, and a compiled plan per operation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import botocore.loaders
from botocore.model import OperationModel, ServiceModel, Shape

from gateway.http import Answer, Request
from gateway.protocols.json_rpc import CborRpc, JsonRpc
from gateway.protocols.query import Query
from gateway.protocols.rest_json import RestJson
from gateway.protocols.validate import compile_validator
from hearth.errors import HearthError


class Codec(Protocol):
    """A wire protocol, for one service."""

    def parser(
        self, operation: OperationModel, labels: Sequence[str]
    ) -> Callable[[Request, Sequence[str]], dict[str, Any]]: ...

    def serialiser(self, operation: OperationModel) -> Callable[[dict[str, Any]], Answer]: ...

    def error(self, error: HearthError) -> Answer: ...


_CODECS: dict[str, Callable[[ServiceModel], Codec]] = {
    "rest-json": RestJson,
    "json": JsonRpc,
    "query": Query,
    "cbor": CborRpc,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation, compiled: request -> members by the model's names -> checked; members -> answer."""

    name: str
    parse: Callable[[Request, Sequence[str]], dict[str, Any]]
    validate: Callable[[dict[str, Any]], None]
    serialise: Callable[[dict[str, Any]], Answer]


class Service:
    """One AWS service. `signing_name` is what a signature's scope must say."""

    def __init__(
        self,
        name: str,
        *,
        unchecked: Collection[str] = (),
        maxima: Mapping[str, int] | None = None,
        validation_code: str = "ValidationException",
        protocol: str | None = None,
        documents: Collection[str] = (),
    ) -> None:
        """unchecked: members that the operations check themselves. maxima: shape -> greatest value or length, in place
        of the model's. validation_code: the error of bad input.

        protocol: another than the model's, which the service speaks too.

        documents: shapes whose JSON the operations take, check and give as it is.
        """
        loader = botocore.loaders.Loader()
        description = loader.load_service_model(name, "service-2")
        for shape in documents:
            description["shapes"][shape] = {"type": "structure", "members": {}, "document": True}
        self.model = ServiceModel(description, name)
        self.name = name
        self.signing_name = self.model.signing_name
        self.protocol: str = protocol or self.model.metadata["protocol"]
        self.codec = _CODECS[self.protocol](self.model)
        self.validation_code = validation_code
        self._unchecked = frozenset(unchecked)
        self._maxima = dict(maxima or {})
        self.plan = functools.cache(self._plan)

    def maximum(self, shape: Shape) -> int | None:
        """A shape's greatest value or length, as it is checked here; None if it has none."""
        return self._maxima.get(shape.name, shape.metadata.get("max"))

    def _plan(self, operation: str, labels: tuple[str, ...] = ()) -> Plan:
        model = self.model.operation_model(operation)
        return Plan(
            operation,
            self.codec.parser(model, labels),
            compile_validator(model, skip=self._unchecked, maxima=self._maxima),
            self.codec.serialiser(model),
        )
