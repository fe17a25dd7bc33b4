"""The gateway's processes: gunicorn with uvicorn workers, on the API's address and on the functions' one."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker

from gateway.counter_files import new_folder
from gateway.http_protocol import GatewayProtocol
from gateway.leaving import Leaving
from hearth.service import end_with_parent
from hearth.settings import Settings

#: Idle connections are kept this long (some 10 KB each): longer than load balancers and SDKs keep theirs, so that it is
#: they who close. A request that is sent while this end closes is lost, and its sender can't know whether it ran.
KEEP_ALIVE_S = 620
#: a worker process whose event loop stands still for this long is replaced
STUCK_S = 60


class GatewayServer(Server):
    """uvicorn's, which goes on serving after SIGTERM until `leaving` lets it go."""

    def __init__(self, config: Config, leaving: Leaving) -> None:
        super().__init__(config)
        self._leaving = leaving

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop now; asked ten times a second."""
        return await super().on_tick(counter) and self._leaving.may_go(time.monotonic())


class GatewayWorker(UvicornWorker):
    CONFIG_KWARGS = {  # noqa: RUF012
        "loop": "uvloop",
        "http": GatewayProtocol,
        "lifespan": "on",
        "interface": "asgi3",
        "ws": "none",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
    }

    def init_process(self) -> None:
        # else it would hold the port of a gateway whose master was killed with -9
        end_with_parent(self.ppid)
        super().init_process()

    async def _serve(self) -> None:
        """As its base's, with a server of ours."""
        self.config.app = self.wsgi
        server = GatewayServer(self.config, self.wsgi.leaving)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class PlatformLogger(Logger):
    """gunicorn's own messages, and uvicorn's which take its handlers, go where the platform's log goes."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = logging.getLogger().handlers


class _Application(BaseApplication):
    def __init__(self, settings: Settings, figures: Path) -> None:
        self._settings = settings
        self._figures = figures
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
        options: dict[str, Any] = {
            "bind": [f"{host}:{settings.port}", f"{host}:{settings.function_listener}"],
            "workers": settings.gateway_processes or max(1, (os.cpu_count() or 2) // 2),
            "logger_class": "gateway.serve.PlatformLogger",
            "worker_class": "gateway.serve.GatewayWorker",
            "graceful_timeout": int(settings.drain_seconds + 2 * settings.leave_seconds),
            "timeout": STUCK_S,
            "keepalive": KEEP_ALIVE_S,
            "backlog": 2048,
            "loglevel": settings.log_level,
            "proc_name": "hearth-gateway",
            "worker_tmp_dir": str(self._figures),
            "control_socket_disable": True,
            "child_exit": _forget_figures,
            # the master's only: a worker process leaves by another way
            "on_exit": lambda _: shutil.rmtree(self._figures, ignore_errors=True),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from gateway.app import Gateway

        return Gateway(self._settings)


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished first. Does not return."""
    # The descriptor stays open: its lock tells other gateways that the folder is in use.
    figures, _ = new_folder(settings.data / "run")
    # Read by prometheus_client when it is imported: before any module of the gateway that counts.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(figures)
    _Application(settings, figures).run()


def _forget_figures(server: Any, worker: Any) -> None:
    """A worker process ended: its gauges go, its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
