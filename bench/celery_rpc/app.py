"""The Celery application, for worker and caller. The broker's URL is in BENCH_BROKER_URL.

Set up for speed where Celery leaves the choice: messages are transient, as the platform's requests are; results are
not kept; what only serves monitoring is off.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER_URL"], backend="rpc://")
app.conf.update(
    task_default_delivery_mode="transient",
    result_persistent=False,
    result_expires=60,
    worker_send_task_events=False,
    task_send_sent_event=False,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=64,
)


@app.task(name="bench.echo")
def echo(event: Any) -> Any:
    """The same function as everybody's."""
    return event


def queue_name(concurrency: int) -> str:
    return f"bench.celery.{concurrency}"
