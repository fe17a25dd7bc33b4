"""Who calls, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hearth.errors import AccessDenied
from hearth.policies import ALLOW_ALL, Access, Document, Principal, Verdict, authorised, decide


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `region` is that of the signature's scope."""

    account: str
    region: str
    #: of the caller's identity, as STS tells it
    arn: str
    user_id: str
    #: its id, of a user's key
    access_key: str = ""
    #: what its policies say; None: it may do everything in its account
    documents: tuple[Document, ...] | None = None
    #: what AssumeRole narrowed that to
    session_document: Document | None = None
    #: of the role's session
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()

    @property
    def restricted(self) -> bool:
        return self.documents is not None or self.session_document is not None

    @property
    def identity(self) -> tuple[Document, ...]:
        """Its policies."""
        return (ALLOW_ALL,) if self.documents is None else self.documents

    @property
    def principal(self) -> Principal:
        return Principal(account=self.account, arn=self.arn)

    def verdict(
        self,
        action: str,
        resource: str,
        *,
        resource_policy: Document | None = None,
        resource_account: str = "",
        context: Mapping[str, str] | None = None,
    ) -> Verdict:
        """What its policies and the resource's say together. resource_account: whose the resource is; "": its own."""
        return authorised(
            Access(action, resource, self.principal, self._context() | (dict(context) if context else {})),
            identity=self.identity,
            session=self.session_document,
            resource=resource_policy,
            same_account=resource_account in ("", self.account),
        )

    def check(
        self,
        action: str,
        resource: str,
        *,
        resource_policy: Document | None = None,
        resource_account: str = "",
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Raises AccessDenied, in AWS's words, unless the verdict is that it may."""
        verdict = self.verdict(
            action, resource, resource_policy=resource_policy, resource_account=resource_account, context=context
        )
        if verdict is Verdict.ALLOWED:
            return
        access = Access(action, resource, self.principal, self._context() | (dict(context) if context else {}))
        if verdict is Verdict.EXPLICIT_DENY:
            why = f"with an explicit deny in {self._denied_by(access)} policy"
        else:
            elsewhere = resource_account not in ("", self.account)
            why = f"because no {self._not_allowed_by(access, elsewhere)} policy allows the {action} action"
        raise AccessDenied(f"User: {self.arn} is not authorized to perform: {action} on resource: {resource} {why}")

    def _denied_by(self, access: Access) -> str:
        if decide(self.identity, access) is Verdict.EXPLICIT_DENY:
            return "an identity-based"
        if decide(self._session, access) is Verdict.EXPLICIT_DENY:
            return "a session"
        return "a resource-based"

    def _not_allowed_by(self, access: Access, elsewhere: bool) -> str:
        """elsewhere: the resource is another account's."""
        own = decide(self.identity, access) is Verdict.ALLOWED
        if own and self._session and decide(self._session, access) is not Verdict.ALLOWED:
            return "session"
        return "resource-based" if elsewhere else "identity-based"

    @property
    def _session(self) -> tuple[Document, ...]:
        return () if self.session_document is None else (self.session_document,)

    def _context(self) -> dict[str, str]:
        tags = {f"aws:principaltag/{name.lower()}": value for name, value in self.tags.items()}
        name = self.arn.rpartition("/")[2] if ":user/" in self.arn else ""
        return tags | {
            "aws:principalarn": self.arn,
            "aws:principalaccount": self.account,
            "aws:requestedregion": self.region,
            "aws:userid": self.user_id,
            **({"aws:username": name} if name else {}),
        }
