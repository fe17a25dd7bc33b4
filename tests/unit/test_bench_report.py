"""The benchmark's own arithmetic: a wrong ratio would be believed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from bench.cpu import SANDBOX, cpu_seconds, spent_between
from bench.load import Load, plain_requests, run_load
from bench.report import BARE, CELERY, HEARTH, ColdStarts, Measured, Ratio, ratio, summary, tables


def a_measurement(target: str, round_number: int, throughput: float, concurrency: int = 8) -> Measured:
    p50_ms = 1000 * concurrency / throughput
    return Measured(target, concurrency, round_number, throughput, p50_ms, 2 * p50_ms, 100, {}, {"broker": 200.0})


ROUNDS = [
    a_measurement(BARE, 1, 1000),
    a_measurement(HEARTH, 1, 800),
    # a slow minute of the machine: both sides at half speed
    a_measurement(HEARTH, 2, 450),
    a_measurement(BARE, 2, 500),
    a_measurement(BARE, 3, 1000),
    a_measurement(HEARTH, 3, 700),
]


def test_ratios_compare_within_a_round() -> None:
    assert ratio(ROUNDS, 8, "throughput") == Ratio(0.7, 0.8, 0.9)


def test_tables_name_figures_cpu_cold_starts_and_a_missed_goal() -> None:
    rounds = [*ROUNDS, a_measurement(BARE, 1, 1000, 1), a_measurement(HEARTH, 1, 500, 1)]
    text = tables(rounds, [ColdStarts("bench-8", 8, 300, 9)])
    assert "| 8 | throughput, 1/s | 700 | 1000 | 0.70 – **0.80** – 0.90 |" in text
    assert "| broker | 200 | 200 | 200 | 200 |" in text
    assert "| bench-8 | 8 | 300 | 9 | 1 |" in text
    assert "- throughput at 8: 0.80 × bare pipe, goal 0.8 ×: reached" in text
    assert "- p50_ms at 1: 2.00 × bare pipe, goal 1.35 ×: missed" in text


def test_celery_is_compared_within_its_round_and_against_its_own_goal() -> None:
    rounds = [*ROUNDS, a_measurement(CELERY, 1, 200), a_measurement(CELERY, 2, 300), a_measurement(CELERY, 3, 350)]
    text = tables(rounds, [])
    assert "| 8 | throughput, 1/s | 700 | 1000 | 300 | 0.70 – **0.80** – 0.90 | 1.50 – **2.00** – 4.00 |" in text
    assert "- throughput at 8: 2.00 × Celery, goal 2.0 ×: reached" in text


def test_summary_holds_every_round_and_the_ratios() -> None:
    content = summary(ROUNDS, [])
    assert len(content["rounds"]) == 6
    assert content["ratios"][BARE]["8"]["throughput"] == {"lowest": 0.7, "median": 0.8, "highest": 0.9}


def test_percentiles_are_nearest_ranks() -> None:
    load = Load(1.0, [n * 1_000_000 for n in range(100, 0, -1)])
    assert (load.percentile_ms(50), load.percentile_ms(99), load.percentile_ms(100)) == (50, 99, 100)


def test_cpu_of_descendants_counts_for_the_root_and_sandboxes_for_themselves() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass\n"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn + 'input()'!r}], env=%r)"
    code = child % {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        try:
            before = cpu_seconds({"worker": parent.pid})
            spent = 0.0
            while spent < 0.15:
                assert parent.poll() is None
                spent = spent_between(before, cpu_seconds({"worker": parent.pid})).get(SANDBOX, 0.0)
        finally:
            parent.communicate(b"\n")
    assert cpu_seconds({"worker": parent.pid}) == {}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "200 no"),
        (b"HTTP/1.1 429 Busy\r\nContent-Length: 4\r\n\r\nbusy", "429 busy"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "answer without Content-Length"),
        (b"", "connection lost: closed by the server"),
    ],
)
async def test_wrong_answer_is_an_error_and_no_latency(answer: bytes, error: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"yes")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        load = await run_load(host, port, plain_requests(f"http://{host}:{port}/f", [b"yes"]), concurrency=1, count=1)
    assert load.latencies_ns == []
    assert sum(load.errors.values()) == 1
    assert next(iter(load.errors)).startswith(error)


async def test_count_is_sent_over_all_connections_and_every_answer_timed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                await reader.readuntil(b"yes")
            except asyncio.IncompleteReadError:
                break
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
            await writer.drain()
            writer.write(b"yes")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        requests = plain_requests(f"http://{host}:{port}/f", [b"yes"])
        load = await run_load(host, port, requests, concurrency=3, count=20)
    assert len(load.latencies_ns) == 20
    assert load.errors == {}
    assert os.getpid() in cpu_seconds({"load": os.getpid()})["load"]
