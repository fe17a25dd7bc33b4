"""When a gateway that is asked to stop may close its connections: once balancers send it nothing more.

A request that arrives on a connection which is closed at the same moment is lost, and whoever passed it on can't know
whether it ran. So a gateway first only says that it leaves (`/health/gateway`, `Connection: close`), and goes on
serving until requests stay away.
"""

from __future__ import annotations


class Leaving:
    """quiet_s: for how long no request must have come; 0: it goes at once. It waits twice as long at most."""

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._began_s: float | None = None
        self._last_s = 0.0

    @property
    def began(self) -> bool:
        return self._began_s is not None

    def request_came(self, now_s: float) -> None:
        self._last_s = now_s

    def may_go(self, now_s: float) -> bool:
        """Asked again and again once the gateway is to stop. now_s: monotonic, as in request_came."""
        if self._began_s is None:
            self._began_s = now_s
        quiet_since_s = max(self._last_s, self._began_s)
        return now_s - quiet_since_s >= self._quiet_s or now_s - self._began_s >= 2 * self._quiet_s
