"""Counting requests: in plain numbers first, then all at once."""

from __future__ import annotations

from gateway import metrics


async def test_requests_counted_apart_are_all_in_the_exposition_in_their_buckets() -> None:
    for status, seconds in ((200, 0.0005), (200, 0.001), (200, 0.0011), (500, 1000.0)):
        metrics.observe("svc", "Do", status, seconds)
    lines = (await metrics.exposition(None)).decode().splitlines()
    assert 'hearth_requests_total{operation="Do",service="svc",status="200"} 3.0' in lines
    assert 'hearth_requests_total{operation="Do",service="svc",status="500"} 1.0' in lines
    for bound, count in (("0.001", 2), ("0.0025", 3), ("900.0", 3), ("+Inf", 4)):
        assert f'hearth_request_seconds_bucket{{le="{bound}",operation="Do",service="svc"}} {count}.0' in lines
    assert 'hearth_request_seconds_sum{operation="Do",service="svc"} 1000.0026' in lines


async def test_request_is_handed_on_once() -> None:
    metrics.observe("svc", "Once", 200, 0.01)
    metrics.flush()
    metrics.flush()
    lines = (await metrics.exposition(None)).decode().splitlines()
    assert 'hearth_requests_total{operation="Once",service="svc",status="200"} 1.0' in lines
