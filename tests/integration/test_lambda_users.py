"""The Lambda API as a user meets it: a script of the AWS CLI and one of boto3, each with nothing but an endpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.companion import CompanionServer
from tests.support.functions import ECHO, zip_of
from tests.support.places import ROOT
from tests.support.stack import PlatformStack

SCRIPTS = ROOT / "tests" / "support" / "user_scripts"


def run(stack: PlatformStack, command: list[str], folder: Path) -> str:
    package = folder / "function.zip"
    package.write_bytes(zip_of(ECHO))
    # the AWS CLI of this environment, not another one of the host
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = os.environ | stack.environ() | {"PATH": path, "AWS_PAGER": ""}
    done = subprocess.run([*command, str(package)], env=environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_aws_cli_script(stack: PlatformStack, companion: CompanionServer, tmp_path: Path) -> None:
    assert run(stack, ["bash", str(SCRIPTS / "lambda.sh")], tmp_path).endswith("done\n")


def test_boto3_script(stack: PlatformStack, companion: CompanionServer, tmp_path: Path) -> None:
    assert run(stack, [sys.executable, str(SCRIPTS / "lambda_user.py")], tmp_path).endswith("done\n")
