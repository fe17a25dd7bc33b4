"""The compose stack, started for real: `tests/compose/run`."""
