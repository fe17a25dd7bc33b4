"""Lambda authorizers: a function decides who may pass; its answers are kept for as long as the API says.

Source: API Gateway Developer Guide, "Control access to HTTP APIs with AWS Lambda authorizers" and "Use API Gateway
Lambda authorizers".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.front_doors.response import plain
from hearth.policies import Access, Verdict, decide, problem_with

ACTION = "execute-api:Invoke"
#: decisions that are kept per authorizer
MAX_KEPT = 10_000


class Misconfigured(Exception):
    """The authorizer could not be run, or its answer isn't one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an authorizer's function answered."""

    #: None: `simple` decides for every route
    policy: dict[str, Any] | None
    simple: bool = False
    principal_id: str | None = None
    #: every value a string for REST APIs
    context: dict[str, Any] = field(default_factory=dict)

    def verdict(self, arn: str, source_ip: str) -> Verdict:
        """For the ARN of a route and method."""
        if self.policy is not None:
            return decide([self.policy], Access(ACTION, arn, context={"aws:sourceip": source_ip}))
        return Verdict.ALLOWED if self.simple else Verdict.IMPLICIT_DENY


class Decisions:
    """One authorizer's decisions by the identity that they were made for."""

    def __init__(self, ttl_s: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._kept: dict[tuple[str, ...], tuple[float, Decision]] = {}

    def find(self, identity: tuple[str, ...]) -> Decision | None:
        until_s, decision = self._kept.get(identity, (0.0, None))
        return decision if self._monotonic() < until_s else None

    def keep(self, identity: tuple[str, ...], decision: Decision) -> None:
        if self._ttl_s <= 0 or not identity:
            return
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[identity] = (self._monotonic() + self._ttl_s, decision)


def simple_decision(payload: bytes) -> Decision:
    """{"isAuthorized": true, "context": {...}}. Raises Misconfigured."""
    answer = _object(payload)
    allowed = answer.get("isAuthorized")
    if not isinstance(allowed, bool):
        raise Misconfigured("isAuthorized is missing")
    return Decision(None, simple=allowed, context=_context(answer))


def policy_decision(payload: bytes, *, text_context: bool) -> Decision:
    """{"principalId": ..., "policyDocument": ..., "context": {...}}. Raises Misconfigured.

    text_context: values become strings, and one that is an object or a list is refused.
    """
    answer = _object(payload)
    policy = answer.get("policyDocument")
    if not isinstance(policy, dict) or not answer.get("principalId"):
        raise Misconfigured("principalId or policyDocument is missing")
    policy = {"Version": "2012-10-17", **policy}
    if (problem := problem_with(policy)) is not None:
        raise Misconfigured(problem)
    context = _context(answer)
    if text_context:
        if any(isinstance(value, (dict, list)) for value in context.values()):
            raise Misconfigured("the context holds what is no string, number or boolean")
        context = {name: plain(value) for name, value in context.items()}
    return Decision(policy, principal_id=str(answer["principalId"]), context=context)


def _object(payload: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(payload or b"null")
    except orjson.JSONDecodeError as exc:
        raise Misconfigured("not JSON") from exc
    if not isinstance(answer, dict):
        raise Misconfigured("not an object")
    return answer


def _context(answer: dict[str, Any]) -> dict[str, Any]:
    context = answer.get("context") or {}
    if not isinstance(context, dict):
        raise Misconfigured("the context is not an object")
    return context
