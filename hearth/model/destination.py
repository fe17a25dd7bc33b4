"""Where records of asynchronous invocations go: destinations and dead-letter queues, named by ARN. Pure.

A RabbitMQ exchange of the platform's own broker is named `arn:aws:rabbitmq:REGION:ACCOUNT:exchange/NAME` or
`.../NAME/ROUTING-KEY`, the routing key may hold slashes. The platform's own exchanges and the nameless one, through
which any queue could be reached, are none.
Source: Lambda API reference, DestinationConfig, DeadLetterConfig; shapes as recorded from AWS.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from hearth.arn import parse_function_name


class DestinationKind(enum.StrEnum):
    """The value is the service's name in the ARN."""

    FUNCTION = "lambda"
    QUEUE = "sqs"
    TOPIC = "sns"
    BUS = "events"
    BUCKET = "s3"
    EXCHANGE = "rabbitmq"


#: what a function's DeadLetterConfig may name
DEAD_LETTER_KINDS = frozenset({DestinationKind.QUEUE, DestinationKind.TOPIC})

_SERVICES = frozenset(kind.value for kind in DestinationKind)
_ARN = re.compile(
    r"arn:aws[a-zA-Z0-9-]*:(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>\d{12})?:(?P<rest>.+)"
)
_RESOURCES = {
    DestinationKind.QUEUE: re.compile(r"[a-zA-Z0-9_-]{1,80}(\.fifo)?"),
    DestinationKind.TOPIC: re.compile(r"[a-zA-Z0-9_-]{1,256}(\.fifo)?"),
    DestinationKind.BUS: re.compile(r"event-bus/[a-zA-Z0-9/._-]+"),
    DestinationKind.BUCKET: re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    DestinationKind.EXCHANGE: re.compile(r"exchange/(?!hearth\.|amq\.)[^/]{1,127}(/.{0,255})?"),
}


@dataclass(frozen=True, slots=True)
class Destination:
    """`resource`: what follows the account in the ARN; of a function its name. region, account: empty for a bucket."""

    kind: DestinationKind
    arn: str
    region: str
    account: str
    resource: str
    #: of a function: version or alias; empty: none
    qualifier: str = ""

    @property
    def fifo(self) -> bool:
        return self.kind in (DestinationKind.QUEUE, DestinationKind.TOPIC) and self.resource.endswith(".fifo")

    @property
    def exchange(self) -> tuple[str, str]:
        """Of an exchange: its name and the routing key, empty if none is given."""
        _, name, *key = self.resource.split("/", 2)
        return name, key[0] if key else ""


def parse_destination(arn: str) -> Destination | None:
    """None: it names nothing that records can be sent to."""
    match = _ARN.fullmatch(arn)
    if match is None or match["service"] not in _SERVICES:
        return None
    kind, region, account = DestinationKind(match["service"]), match["region"], match["account"] or ""
    rest = match["rest"]
    if kind is not DestinationKind.BUCKET and not (region and account):
        return None
    if kind is DestinationKind.FUNCTION:
        ref = parse_function_name(arn)
        if ref is None or not rest.startswith("function:"):
            return None
        return Destination(kind, arn, region, account, ref.name, ref.qualifier or "")
    if not _RESOURCES[kind].fullmatch(rest):
        return None
    return Destination(kind, arn, region, account, rest)
