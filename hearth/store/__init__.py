"""The door to Redis/Valkey: the durable `state` and the `coordination` that may be lost. Only importer of redis."""

from hearth.store.client import Store, Stores

__all__ = ["Store", "Stores"]
