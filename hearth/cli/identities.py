"""keys, roles: who may call the API, and what it may do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.clock import iso_time, now_ms
from hearth.embedded import stackfile
from hearth.model.identity import AccessKey, Role, allowing, new_access_key_id
from hearth.policies import ALLOW_ALL, Document, problem_with, statements
from hearth.settings import Settings

keys = typer.Typer(no_args_is_help=True, help="Access keys of the API, each with a name and what it may do.")
roles = typer.Typer(no_args_is_help=True, help="What functions' roles may do.")

_NAME = re.compile(r"[\w+=,.@-]{1,64}")
_ACTION = re.compile(r"\*|[a-z0-9-]+:[A-Za-z*?]+")

Allow = Annotated[list[str] | None, typer.Option("--allow", help="An action, such as lambda:InvokeFunction; again.")]
On = Annotated[list[str] | None, typer.Option("--on", help="Only on this resource: an ARN, with * and ?; again.")]
Policy = Annotated[Path | None, typer.Option("--policy", help="A file with an IAM policy document.")]
All = Annotated[bool, typer.Option("--allow-all", help="Everything in the account.")]
Account = Annotated[str | None, typer.Option("--account", help="12 digits; default: HEARTH_ACCOUNT.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    allow: Allow = None,
    on: On = None,
    policy: Policy = None,
    allow_all: All = False,
    account: Account = None,
    json: Json = False,
) -> None:
    """Make an access key; its secret is shown now.

    Example: hearth keys create ci --allow lambda:UpdateFunctionCode --allow lambda:GetFunction
    """
    settings = _state_of(load_settings())
    documents = _documents(allow, on, policy, allow_all)
    key = AccessKey(new_access_key_id(), account or settings.account, _named(name), documents, now_ms())

    async def put(table: Any, stores: Any) -> str:
        from hearth.credentials import access_key_secret, platform_secret

        await table.put_access_key(key)
        return access_key_secret(await platform_secret(settings, stores), key.id)

    secret = _with_table(settings, put)
    if json:
        print_json({"AccessKeyId": key.id, "SecretAccessKey": secret, "Account": key.account, "Name": key.name})
        return
    out.print(f"AWS_ACCESS_KEY_ID={key.id}\nAWS_SECRET_ACCESS_KEY={secret}", markup=False)
    talk.print(f"{key.arn} may: {_told(key.documents)}", markup=False)


@keys.command("list")
def list_keys(json: Json = False) -> None:
    """List the access keys that were made.

    Example: hearth keys list
    """
    found = _with_table(_state_of(load_settings()), lambda table, _: table.all())
    rows = sorted(found.access_keys.values(), key=lambda key: key.created_at_ms)
    if json:
        print_json([{"AccessKeyId": key.id, "Name": key.name, "Account": key.account, "Policies": key.documents}
                    for key in rows])  # fmt: skip
        return
    table = Table(box=None, pad_edge=False)
    for column in ("key", "name", "account", "made"):
        table.add_column(column, no_wrap=True, overflow="fold")
    table.add_column("may", overflow="fold")
    for key in rows:
        table.add_row(key.id, key.name, key.account, iso_time(key.created_at_ms)[:19], _told(key.documents))
    out.print(table)


@keys.command("delete")
def delete_key(key_id: Annotated[str, typer.Argument(metavar="KEY_ID")]) -> None:
    """Delete an access key; within seconds no gateway accepts it any more.

    Example: hearth keys delete AKIAIOSFODNN7EXAMPLE
    """
    if not _with_table(_state_of(load_settings()), lambda table, _: table.delete_access_key(key_id)):
        fail(f"There is no access key {key_id}.", advice="`hearth keys list` shows them.")
    talk.print(f"deleted {key_id}")


@roles.command("allow")
def allow_role(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The last part of the role's ARN.")],
    allow: Allow = None,
    on: On = None,
    policy: Policy = None,
    allow_all: All = False,
    account: Account = None,
) -> None:
    """Say what a role may do, in place of what was said before.

    Example: hearth roles allow worker --allow lambda:InvokeFunction --on 'arn:aws:lambda:*:*:function:report-*'
    """
    settings = _state_of(load_settings())
    role = Role(account or settings.account, _named(name), _documents(allow, on, policy, allow_all))
    _with_table(settings, lambda table, _: table.put_role(role))
    talk.print(f"{role.arn} may: {_told(role.documents)}", markup=False)


@roles.command("list")
def list_roles(json: Json = False) -> None:
    """List the roles of which it was said what they may do; HEARTH_ROLE_DEFAULT decides for the others.

    Example: hearth roles list
    """
    settings = load_settings()
    found = _with_table(_state_of(settings), lambda table, _: table.all())
    if json:
        print_json([{"Arn": role.arn, "Policies": role.documents} for role in found.roles.values()])
        return
    table = Table("role", "account", "may", box=None, pad_edge=False)
    for role in found.roles.values():
        table.add_row(role.name, role.account, _told(role.documents))
    table.add_row("(others)", "", "everything" if settings.permissive else "nothing")
    out.print(table)


@roles.command("delete")
def delete_role(name: Annotated[str, typer.Argument(metavar="NAME")], account: Account = None) -> None:
    """Forget what a role may do; HEARTH_ROLE_DEFAULT decides from then on.

    Example: hearth roles delete worker
    """
    settings = _state_of(load_settings())
    if not _with_table(settings, lambda table, _: table.delete_role(account or settings.account, name)):
        fail(f"Nothing was said of a role {name}.", advice="`hearth roles list` shows them.")
    talk.print(f"deleted {name}")


def _documents(
    allow: list[str] | None, on: list[str] | None, policy: Path | None, allow_all: bool
) -> tuple[dict[str, Any], ...]:
    given: list[Document] = [ALLOW_ALL] if allow_all else []
    for action in allow or []:
        if not _ACTION.fullmatch(action):
            fail(f"{action} is no action.", advice="An action is SERVICE:OPERATION, such as lambda:Get*", code=2)
    if allow:
        given.append(allowing(allow, on or []))
    if policy is not None:
        try:
            document = orjson.loads(policy.read_bytes())
        except (OSError, orjson.JSONDecodeError) as exc:
            fail(f"{policy}: {exc}", code=2)
        if problem := problem_with(document):
            fail(f"{policy}: {problem}", code=2)
        given.append(document)
    if not given:
        fail("Say what it may do: --allow SERVICE:OPERATION, --policy FILE or --allow-all.", code=2)
    return tuple(dict(document) for document in given)


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        fail(f"{name!r} is no name: letters, digits and _+=,.@- (64 at most).", code=2)
    return name


def _told(documents: tuple[dict[str, Any], ...]) -> str:
    told = []
    for statement in (one for document in documents for one in statements(document)):
        what = statement.get("Action") or f"all but {statement.get('NotAction')}"
        actions = what if isinstance(what, str) else ", ".join(what)
        told.append(actions if statement["Effect"] == "Allow" else f"never {actions}")
    return "; ".join(told)


def _state_of(settings: Settings) -> Settings:
    """With the state of the environment, or of the platform that runs on this data folder."""
    running = stackfile.live(settings.data)
    if settings.state_url is None and running is not None:
        settings = settings.model_copy(update={"state_url": running.state_url})
    if settings.state_url is None:
        fail("Nothing runs here.", advice="`hearth up` starts it; HEARTH_STATE_URL names another.")
    return settings


def _with_table(settings: Settings, work: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        from hearth.errors import HearthError
        from hearth.store import Store, Stores
        from hearth.store.identities import IdentityTable

        assert settings.state_url is not None
        state = Store("state", settings.state_url)
        try:
            return await work(IdentityTable(state), Stores(state, state))
        except HearthError as exc:
            fail(exc.message)
        finally:
            await state.close()

    return asyncio.run(run())
