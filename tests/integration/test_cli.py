"""The commands for functions, as processes of their own against a running platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.support.command import hearth
from tests.support.extensions import subscriber
from tests.support.functions import zip_of
from tests.support.stack import PlatformStack

_SOURCE = """
import os
def handler(event, context):
    print("got", event)
    if event.get("fail"):
        raise ValueError("as told")
    return {"event": event, "greeting": os.environ.get("GREETING"), "memory": context.memory_limit_in_mb}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / f"fn-{uuid.uuid4().hex[:8]}"
    made.mkdir()
    (made / "app.py").write_text(_SOURCE)
    return made


def test_deployed_folder_answers_with_its_configuration(stack: PlatformStack, folder: Path) -> None:
    options = ("--memory", "256", "--env", "GREETING=hi")
    deployed = hearth("deploy", str(folder), *options, "--json", env=stack.environ())
    assert deployed.returncode == 0, deployed.stderr
    configuration = json.loads(deployed.stdout)
    assert (configuration["FunctionName"], configuration["Handler"]) == (folder.name, "app.handler")

    answer = hearth("invoke", folder.name, '{"n": 1}', "--tail", env=stack.environ())

    assert json.loads(answer.stdout) == {"event": {"n": 1}, "greeting": "hi", "memory": "256"}
    assert "got {'n': 1}" in answer.stderr
    assert "REPORT RequestId" in answer.stderr


def test_deploying_again_updates_the_code_and_keeps_the_rest(stack: PlatformStack, folder: Path) -> None:
    hearth("deploy", str(folder), "--env", "GREETING=hi", env=stack.environ())
    (folder / "app.py").write_text(_SOURCE.replace('"greeting"', '"word"'))

    assert hearth("deploy", str(folder), env=stack.environ()).returncode == 0

    assert json.loads(hearth("invoke", folder.name, "{}", env=stack.environ()).stdout)["word"] == "hi"


def test_zip_file_is_deployed_under_a_given_name(stack: PlatformStack, tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(zip_of(None, main__py="def lambda_handler(event, context):\n    return 'from main'\n"))
    name = f"zip-{uuid.uuid4().hex[:8]}"
    assert hearth("deploy", str(archive), "--name", name, env=stack.environ()).returncode == 0
    assert hearth("invoke", name, env=stack.environ()).stdout == '"from main"\n'


def test_function_error_is_exit_status_1_and_its_document_on_stdout(stack: PlatformStack, folder: Path) -> None:
    hearth("deploy", str(folder), env=stack.environ())
    answer = hearth("invoke", folder.name, "-", env=stack.environ(), stdin='{"fail": true}')
    assert answer.returncode == 1
    assert json.loads(answer.stdout)["errorMessage"] == "as told"
    assert f"hearth logs {folder.name}" in answer.stderr


def test_followed_log_shows_what_is_printed_later(stack: PlatformStack, folder: Path) -> None:
    hearth("deploy", str(folder), env=stack.environ())
    command = [sys.executable, "-m", "hearth.cli", "logs", folder.name, "--follow"]
    with subprocess.Popen(command, env=os.environ | stack.environ(), stdout=subprocess.PIPE, text=True) as following:
        try:
            time.sleep(1)
            hearth("invoke", folder.name, '{"mark": "seen-later"}', env=stack.environ())
            assert following.stdout is not None
            assert any("seen-later" in line for line in following.stdout)
        finally:
            following.terminate()


def test_log_is_printed_once_and_in_order(stack: PlatformStack, folder: Path) -> None:
    hearth("deploy", str(folder), env=stack.environ())
    for number in range(3):
        hearth("invoke", folder.name, json.dumps({"n": number}), env=stack.environ())
    until = time.monotonic() + 60
    while True:
        lines = hearth("logs", folder.name, env=stack.environ()).stdout.splitlines()
        printed = [line.split("got ")[1] for line in lines if "got " in line]
        if len(printed) >= 3 or time.monotonic() > until:
            break
    assert printed == ["{'n': 0}", "{'n': 1}", "{'n': 2}"]


def test_deleted_function_is_no_longer_listed(stack: PlatformStack, folder: Path) -> None:
    hearth("deploy", str(folder), env=stack.environ())
    assert folder.name in hearth("list", env=stack.environ()).stdout
    assert hearth("delete", folder.name, env=stack.environ()).returncode == 0
    assert folder.name not in hearth("list", env=stack.environ()).stdout
    gone = hearth("invoke", folder.name, env=stack.environ())
    assert gone.returncode == 1
    assert "`hearth list` shows" in gone.stderr


def test_folder_without_a_handler_names_the_option(stack: PlatformStack, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("x = 1\n")
    tried = hearth("deploy", str(tmp_path), "--name", "none", env=stack.environ())
    assert tried.returncode == 2
    assert "--handler MODULE.FUNCTION" in tried.stderr


def test_nobody_listening_says_how_to_start(stack: PlatformStack, tmp_path: Path) -> None:
    environ = {"HEARTH_DATA": str(tmp_path), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    tried = hearth("list", env=environ)
    assert tried.returncode == 1
    assert "Start the platform: hearth up" in tried.stderr


def test_env_points_the_aws_cli_at_the_platform(stack: PlatformStack) -> None:
    name = stack.deploy(None, "def handler(event, context):\n    return event\n")
    shell = (
        f'eval "$({sys.executable} -m hearth.cli env)"; {Path(sys.executable).parent}/aws lambda invoke '
        f"--function-name {name} --payload '[1]' /dev/stdout"
    )
    if not (Path(sys.executable).parent / "aws").exists():
        pytest.fail("awscli is part of the extra `test`")
    answer = subprocess.run(["bash", "-c", shell], env=os.environ | stack.environ(), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("[1]")


def test_layer_runs_its_extension_and_the_bill_sums_up(stack: PlatformStack, folder: Path, tmp_path: Path) -> None:
    extension = tmp_path / "layer" / "extensions" / "watcher"
    extension.parent.mkdir(parents=True)
    extension.write_text(subscriber(work_s=0.2))
    extension.chmod(0o755)
    options = ("--layer", str(tmp_path / "layer"), "--timeout", "10", "--runtime", "python3.11", "--json")
    deployed = hearth("deploy", str(folder), *options, env=stack.environ())
    assert deployed.returncode == 0, deployed.stderr
    (layer,) = json.loads(deployed.stdout)["Layers"]
    assert layer["CodeSize"] > 0
    for number in range(3):  # each comes while the extension still works on the one before
        answer = hearth("invoke", folder.name, f'{{"n": {number}}}', env=stack.environ())
        assert json.loads(answer.stdout)["event"] == {"n": number}, answer.stderr
    lines: list[str] = []
    give_up_at = time.monotonic() + 60
    while sum("platform.report" in line for line in lines) < 3:
        assert time.monotonic() < give_up_at, lines
        time.sleep(0.2)
        shown = hearth("logs", folder.name, "--json", env=stack.environ()).stdout
        decoder, lines, at = json.JSONDecoder(), [], 0
        while at < len(shown.rstrip()):
            one, at = decoder.raw_decode(shown, at)
            lines.append(one["message"])
            at += len(shown[at:]) - len(shown[at:].lstrip())
    assert any(line.startswith("EXTENSION\tName: watcher\tState: Ready") for line in lines)

    bill = json.loads(hearth("bill", folder.name, "--json", env=stack.environ()).stdout)

    assert [(one["function"], one["invocations"], one["errors"]) for one in bill] == [(folder.name, 3, 0)]
    assert bill[0]["billed_ms"] >= 600  # the extension's work is billed
    assert bill[0]["gb_seconds"] == pytest.approx(bill[0]["billed_ms"] / 1000 * 128 / 1024)
    assert hearth("bill", "--day", "yesterday", env=stack.environ()).returncode == 2


def test_layer_is_published_once_listed_and_deleted(stack: PlatformStack, tmp_path: Path) -> None:
    layer = tmp_path / f"layer-{uuid.uuid4().hex[:8]}"
    layer.mkdir()
    (layer / "data.txt").write_text("1")
    first, again = (hearth("layers", "publish", str(layer), env=stack.environ()).stdout.strip() for _ in range(2))
    (layer / "data.txt").write_text("2")
    second = hearth("layers", "publish", str(layer), "--description", "new", env=stack.environ()).stdout.strip()
    shown = hearth("layers", "list", layer.name, env=stack.environ()).stdout

    assert first == again == f"arn:aws:lambda:us-east-1:000000000000:layer:{layer.name}:1"
    assert second == f"{first[:-1]}2"
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [[layer.name, "2"], [layer.name, "1"]]
    assert hearth("layers", "delete", layer.name, "2", env=stack.environ()).returncode == 0
    newest = json.loads(hearth("layers", "list", "--json", env=stack.environ()).stdout)
    assert [one["Version"] for one in newest if one["LayerVersionArn"].startswith(first[:-1])] == [1]
