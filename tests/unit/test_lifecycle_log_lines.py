"""START, END, REPORT and their kin, to the tab."""

from __future__ import annotations

import dataclasses

import orjson

from hearth.model.function import FunctionVersion
from workers.billing import billed_ms
from workers.lifecycle.log_lines import JsonLines, TextLines, iso_time, log_lines
from workers.lifecycle.records import Ended, Times

ID = "7f3a6d0e-0000-4000-8000-000000000001"
T_MS = 1_735_787_045_678  # 2025-01-02T03:04:05.678Z
VERSION = FunctionVersion(
    "k", "000000000000", "us-east-1", "f", "$LATEST", "python3.11", "app.handler", "role", "0" * 64, timeout_s=3
)
TEXT, JSON = TextLines(VERSION), JsonLines(VERSION)


def test_text_lines_of_a_good_cold_invocation() -> None:
    assert TEXT.start(ID, T_MS) == f"START RequestId: {ID} Version: $LATEST\n"
    end, report = TEXT.end(ID, Ended("success", "", 1.519, 2, 36, 102.251), T_MS)
    assert end == f"END RequestId: {ID}\n"
    assert report == (
        f"REPORT RequestId: {ID}\tDuration: 1.52 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 36 MB\tInit Duration: 102.25 ms\t\n"
    )


def test_a_warm_report_has_no_init_duration() -> None:
    _, report = TEXT.end(ID, Ended("success", "", 1.0, 1, 36, None), T_MS)
    assert report.endswith("\tMax Memory Used: 36 MB\t\n")


def test_a_handlers_own_error_adds_nothing_to_report() -> None:
    assert TEXT.end(ID, Ended("error", "Runtime.Unknown", 1, 1, 9, None), T_MS) == TEXT.end(
        ID, Ended("success", "", 1, 1, 9, None), T_MS
    )


def test_fatal_ends_are_in_report() -> None:
    _, timeout = TEXT.end(ID, Ended("timeout", "Sandbox.Timedout", 3000, 3000, 9, None), T_MS)
    _, memory = TEXT.end(ID, Ended("failure", "Runtime.OutOfMemory", 5, 5, 128, None), T_MS)
    assert "\tMax Memory Used: 9 MB\tStatus: timeout" in timeout
    assert "\tMax Memory Used: 128 MB\tStatus: error\tError Type: Runtime.OutOfMemory" in memory


def test_text_lines_of_what_goes_wrong() -> None:
    assert TEXT.timed_out(ID, T_MS) == f"2025-01-02T03:04:05.678Z {ID} Task timed out after 3.00 seconds\n\n"
    assert TEXT.fatal(ID, "Runtime.ExitError", "Runtime exited with error: exit status 1", T_MS) == (
        f"RequestId: {ID} Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n"
    )
    assert TEXT.init_report("init", "timeout", "Sandbox.Timedout", 9999.79, T_MS) == (
        "INIT_REPORT Init Duration: 9999.79 ms\tPhase: init\tStatus: timeout\n"
    )
    assert TEXT.init_report("invoke", "error", "Runtime.ExitError", 5, T_MS) == (
        "INIT_REPORT Init Duration: 5.00 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n"
    )


def test_init_start_names_runtime_and_isolation() -> None:
    line = TEXT.init_start("python:3.11.2", "full", T_MS)
    assert line.startswith("INIT_START Runtime Version: python:3.11.2\tRuntime Version ARN: arn:aws:lambda:us-east-1::")
    assert line.endswith("\tIsolation: full\n")


def test_json_lines_are_telemetry_events() -> None:
    assert orjson.loads(JSON.start(ID, T_MS)) == {
        "time": "2025-01-02T03:04:05.678Z",
        "type": "platform.start",
        "record": {"requestId": ID, "version": "$LATEST"},
    }
    (report,) = JSON.end(ID, Ended("success", "", 1.5, 2, 36, 102.25), T_MS)
    record = orjson.loads(report)["record"]
    assert record["metrics"] == {
        "durationMs": 1.5,
        "billedDurationMs": 2,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 36,
        "initDurationMs": 102.25,
    }


def test_json_failure_also_says_that_the_runtime_is_done() -> None:
    done, report = (orjson.loads(line) for line in JSON.end(ID, Ended("timeout", "", 3000, 3000, 9, None), T_MS))
    assert (done["type"], done["record"]["status"]) == ("platform.runtimeDone", "timeout")
    assert (report["type"], report["record"]["status"]) == ("platform.report", "timeout")


def test_answered_invocation_tells_the_spans_of_its_time() -> None:
    """Names and order as AWS's platform.runtimeDone and platform.report have them."""
    times = Times(
        T_MS - 100_000, began_s=100.0, answering_s=100.02, answered_s=100.0215, next_s=100.03, settled_s=100.1
    )
    lines = JsonLines(dataclasses.replace(VERSION, log_format="JSON", system_log_level="DEBUG"))

    def spans(times: Times) -> list[list[tuple[str, str, float]]]:
        told = lines.end(ID, Ended("success", "", 30, 30, 9, None, produced_bytes=17, times=times), T_MS)
        records = [orjson.loads(line)["record"] for line in told]
        assert records[0]["metrics"] == {"durationMs": 30, "producedBytes": 17}
        return [
            [(one["name"], one["start"], one["durationMs"]) for one in record.get("spans", [])] for record in records
        ]

    done = [
        ("responseLatency", "2025-01-02T03:04:05.678Z", 20.0),
        ("responseDuration", "2025-01-02T03:04:05.698Z", 1.5),
        ("runtimeOverhead", "2025-01-02T03:04:05.699Z", 8.5),
    ]
    assert spans(times) == [done, [("extensionOverhead", "2025-01-02T03:04:05.708Z", 70.0)]]
    assert spans(times._replace(next_s=None, settled_s=None)) == [done[:2], []]


def test_format_follows_the_function() -> None:
    assert isinstance(log_lines(VERSION), TextLines)
    json = FunctionVersion.from_json(orjson.dumps(orjson.loads(VERSION.to_json()) | {"log_format": "JSON"}))
    assert isinstance(log_lines(json), JsonLines)


def test_times_and_bills_are_rounded_as_aws_does() -> None:
    assert iso_time(1_735_787_045_007) == "2025-01-02T03:04:05.007Z"
    assert [billed_ms(ms) for ms in (0.0, 0.01, 1.0, 1.01, 2999.5)] == [1, 1, 1, 2, 3000]


def test_system_log_level_decides_which_events_are_told() -> None:
    def told(level: str) -> list[str]:
        lines = JsonLines(dataclasses.replace(VERSION, log_format="JSON", system_log_level=level))
        text = lines.init_runtime_done("init", "success", "", T_MS)
        text += lines.init_report("init", "success", "", 5, T_MS) + lines.start(ID, T_MS)
        text += "".join(lines.end(ID, Ended("success", "", 1, 1, 9, None), T_MS))
        text += "".join(lines.end(ID, Ended("timeout", "", 1, 1, 9, None), T_MS))
        return [orjson.loads(line)["type"].removeprefix("platform.") for line in text.splitlines()]

    assert told("DEBUG") == [
        *("initRuntimeDone", "initReport", "start", "runtimeDone", "report", "runtimeDone", "report"),
    ]
    assert told("INFO") == ["start", "report", "runtimeDone", "report"]
    assert told("WARN") == ["runtimeDone", "report"]


def test_restored_sandboxes_say_so_instead_of_init_duration() -> None:
    assert TEXT.restore_start("java:21.v40", T_MS).startswith("RESTORE_START Runtime Version: java:21.v40\tRuntime ")
    assert TEXT.restore_report("success", "", 389.65, T_MS) == "RESTORE_REPORT Restore Duration: 389.65 ms\n"
    assert TEXT.restore_report("error", "Runtime.ExitError", 1, T_MS).endswith(
        " ms\tStatus: error\tError Type: Runtime.ExitError\n"
    )
    _, report = TEXT.end(ID, Ended("success", "", 1, 1, 9, 5.0, 389.65), T_MS)
    assert report.endswith("\tRestore Duration: 389.65 ms\tBilled Restore Duration: 390 ms\t\n")
    assert TEXT.snapshot_report("init", 1234.561, T_MS) == "INIT_REPORT Init Duration: 1234.56 ms\n"


def test_lines_of_extensions_and_subscriptions() -> None:
    assert TEXT.extension("e", "Ready", ["INVOKE"], "", T_MS) == "EXTENSION\tName: e\tState: Ready\tEvents: [INVOKE]\n"
    assert TEXT.extension("e", "LaunchError", [], "Extension.LaunchError", T_MS) == (
        "EXTENSION\tName: e\tState: LaunchError\tEvents: []\tError Type: Extension.LaunchError\n"
    )
    assert TEXT.subscription("logs", "e", ["function", "platform"], T_MS) == (
        "LOGS\tName: e\tState: Subscribed\tTypes: [Function, Platform]\n"
    )
