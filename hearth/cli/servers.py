"""Which servers a command that looks behind the API talks to: those of the settings, else of the platform that runs."""

from __future__ import annotations

from hearth.cli.console import fail
from hearth.embedded import stackfile
from hearth.settings import Settings


def with_servers(settings: Settings, *names: str) -> Settings:
    """`names`: of the settings that must be there (state_url, ...). Ends the command if one is not."""
    running = stackfile.live(settings.data)
    missing = [name for name in names if getattr(settings, name) is None]
    if running is not None:
        found = {name: getattr(running, name) for name in missing}
        settings = settings.model_copy(update={name: url for name, url in found.items() if url})
    if any(getattr(settings, name) is None for name in names):
        variables = " and ".join(f"HEARTH_{name.upper()}" for name in names)
        names_another = "names" if len(names) == 1 else "name"
        fail("Nothing runs here.", advice=f"`hearth up` starts it; {variables} {names_another} another.")
    return settings
