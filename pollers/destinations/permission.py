"""Whether a function's execution role lets its records go where they are to go.

Source: Lambda Developer Guide, asynchronous invocation: "Lambda requires permission to add the record to the
destination"; the actions are those of its table.
"""

from __future__ import annotations

from hearth.model.destination import Destination, DestinationKind
from hearth.model.event import Event
from hearth.policies import Access, Document, Principal, Verdict, decide
from hearth.store.functions import FunctionTable
from hearth.store.identities import IdentityTable
from pollers.destinations.failures import NotDelivered

#: `rabbitmq:Publish` is the platform's own
_ACTIONS = {
    DestinationKind.FUNCTION: "lambda:InvokeFunction",
    DestinationKind.QUEUE: "sqs:SendMessage",
    DestinationKind.TOPIC: "sns:Publish",
    DestinationKind.BUS: "events:PutEvents",
    DestinationKind.BUCKET: "s3:PutObject",
    DestinationKind.EXCHANGE: "rabbitmq:Publish",
}


class RolePermissions:
    """permissive: a role that has no policy may do everything, else nothing."""

    def __init__(self, functions: FunctionTable, identities: IdentityTable, *, permissive: bool) -> None:
        self._functions = functions
        self._identities = identities
        self._permissive = permissive

    async def check(self, destination: Destination, parcel: Event) -> None:
        """Raises NotDelivered, Unavailable.

        The role is $LATEST's, as the dead-letter queue is. Records of a function that has been deleted since go out.
        """
        function = await self._functions.function(parcel.account, parcel.region, parcel.name)
        if function is None:
            return
        account, _, name = function.latest.version.role.removeprefix("arn:aws:iam::").partition(":role/")
        name = name.rpartition("/")[2]
        role = await self._identities.role(account, name)
        if role is None and self._permissive:
            return
        session = f"arn:aws:sts::{account}:assumed-role/{name}/{parcel.name}"
        if told := refusal(role.documents if role else (), session, destination, parcel.name):
            raise NotDelivered(told, final=True)


def refusal(documents: tuple[Document, ...], session: str, destination: Destination, function: str) -> str:
    """In AWS's words why the role may not send a function's records there; empty: it may.

    session: ARN of the role's session that sends. function: its name.
    """
    action, resource = _ACTIONS[destination.kind], destination.arn
    if destination.kind is DestinationKind.BUCKET:
        resource = f"{resource}/aws/lambda/async/{function}/"
    verdict = decide(documents, Access(action, resource, Principal(account=session.split(":")[4], arn=session)))
    if verdict is Verdict.ALLOWED:
        return ""
    why = f"because no identity-based policy allows the {action} action"
    if verdict is Verdict.EXPLICIT_DENY:
        why = "with an explicit deny in an identity-based policy"
    return f"User: {session} is not authorized to perform: {action} on resource: {resource} {why}"
