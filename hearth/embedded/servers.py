"""The servers of a platform on one machine: those that the settings name, and our own for the others."""

from __future__ import annotations

from hearth.embedded.process import OnLine
from hearth.embedded.rabbitmq import RabbitMQ
from hearth.embedded.stackfile import StackFile
from hearth.embedded.unit import Unit
from hearth.embedded.valkey import Valkey
from hearth.settings import Settings


class Servers:
    """`broker` and `stores` are what we must start ourselves; empty where a URL is configured."""

    def __init__(self, settings: Settings, stack: StackFile, on_line: OnLine) -> None:
        self._settings = settings
        self._own: dict[str, RabbitMQ | Valkey] = {}
        if settings.broker_url is None:
            self._own["broker_url"] = RabbitMQ(settings.data / "rabbitmq", stack, on_line)
        if settings.state_url is None:
            self._own["state_url"] = Valkey("state", settings.data / "state", stack, on_line)
        if settings.coordination_url is None:
            home = settings.data / "coordination"
            self._own["coordination_url"] = Valkey("coordination", home, stack, on_line)

    @property
    def broker(self) -> list[Unit]:
        return [unit for unit in self._own.values() if isinstance(unit, RabbitMQ)]

    @property
    def stores(self) -> list[Unit]:
        return [unit for unit in self._own.values() if isinstance(unit, Valkey)]

    def resolved(self) -> Settings:
        """The settings with the URLs of our own servers filled in; after they have been started."""
        return self._settings.model_copy(update={setting: unit.url for setting, unit in self._own.items()})
