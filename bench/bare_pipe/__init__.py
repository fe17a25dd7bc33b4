"""The yardstick: the platform's road with nothing else on it (no auth, logs, limits, isolation or placement)."""
