"""runtimes: what this fleet can run, and setting up one more on this host."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from hearth.cli.console import fail, load_settings, out, print_json, talk
from hearth.embedded import stackfile
from hearth.model.runtime import SUBSTITUTES, Served, fleet_offer, language_of, limit_of
from hearth.settings import Settings

app = typer.Typer(help="Which runtimes functions can have here.")


@app.callback(invoke_without_command=True)
def runtimes(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")] = False,
) -> None:
    """List the runtimes that the fleet offers; without a running platform, those of this host.

    Example: hearth runtimes --json
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    workers = asyncio.run(_workers(settings))
    offer = fleet_offer(workers.values() if workers else [_this_host(settings)])
    if json:
        print_json([_plain(one) for one in offer.values()])
        return
    if not workers:
        talk.print("No worker runs; this host alone would offer:")
    _print(offer, len(workers))


@app.command()
def install(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A language (nodejs) or a runtime (java21).")],
) -> None:
    """Set a runtime up on this host: the language by apt if it is missing, then its client from its registry.

    Example: sudo hearth runtimes install nodejs
    """
    from hearth.embedded import packages
    from hearth.embedded.process import StartFailed
    from workers import runtimes as here

    wanted = language_of(name.partition(".")[0] if name.startswith("provided") else name)
    language = here.LANGUAGES.get(SUBSTITUTES.get(wanted, wanted))
    if language is None:
        fail(f"There is no language {name}.", advice=f"There are: {', '.join(here.LANGUAGES)}", code=2)
    settings = load_settings()

    async def set_up() -> None:
        await language.prepare(settings.runtimes_dir, _tell)
        if not _serves(name, language.installed(settings.runtimes_dir)) and (names := language.packages(name)):
            if not packages.can_install():
                fail(f"{name} is not on this host.", advice=f"Install it: sudo apt-get install {' '.join(names)}")
            await packages.install(list(names), _tell)
            await language.prepare(settings.runtimes_dir, _tell)

    try:
        asyncio.run(set_up())
    except StartFailed as exc:
        fail(str(exc), advice=f"Put {name} on this host yourself, then repeat this command to set up its client.")
    found = language.installed(settings.runtimes_dir)
    if not _serves(name, found):
        fail(f"{name} could not be set up.", advice=f"Here now: {', '.join(found) or 'nothing of that language'}")
    talk.print(f"ready: {', '.join(sorted(found))}; workers that start from now on offer it")


def _serves(name: str, found: Mapping[str, Any]) -> bool:
    """A version is served by itself, a language by any of its versions, and by any of its substitute."""
    exact = any(one.isdigit() for one in name) and language_of(name) not in SUBSTITUTES
    return name in found if exact else bool(found)


def _tell(text: str) -> None:
    talk.print(text, markup=False)


async def _workers(settings: Settings) -> dict[str, dict[str, str]]:
    """The living workers' figures; none if nothing runs or coordination does not answer."""
    from hearth.errors import Unavailable
    from hearth.store import Store, workers

    running = stackfile.live(settings.data)
    url = settings.coordination_url or (running.coordination_url if running else None)
    if not url:
        return {}
    store = Store("coordination", url)
    try:
        return await workers.living(store)
    except Unavailable:
        return {}
    finally:
        await store.close()


def _this_host(settings: Settings) -> dict[str, str]:
    """As a worker of this host would tell it."""
    from workers import runtimes as here

    return here.figures(here.offered(settings))


def _plain(served: Served) -> dict[str, Any]:
    return {"runtime": served.family, "runs_on": served.by, "installed": served.exact, "workers": served.workers}


def _print(offer: Mapping[str, Served], workers: int) -> None:
    table = Table("runtime", "runs on", *(["workers"] if workers else []), box=None, pad_edge=False)
    for one in offer.values():
        count = [f"{one.workers} of {workers}"] if workers else []
        shown = one.by if one.exact else f"{one.by} ({limit_of(one.family, one.by) or 'the nearest'})"
        table.add_row(one.family, shown, *count)
    out.print(table)
