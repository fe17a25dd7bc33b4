"""A runtime's command: handler, memory, wrapper, and the entry point of a package that brings its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.runtimes import InvalidEntrypoint, Runtime
from workers.sandbox.supervisor import Mount

PROVIDED = Runtime("provided.al2023", "provided:al2023", entries=("/var/task/bootstrap", "/opt/bootstrap"))


def shown(tmp_path: Path, *programs: str, mode: int = 0o755) -> list[Mount]:
    mounts = []
    for target in ("/var/task", "/opt"):
        source = tmp_path / target.strip("/").replace("/", "-")
        source.mkdir()
        mounts.append(Mount(source, target))
        if f"{target}/bootstrap" in programs:
            (source / "bootstrap").write_text("#!/bin/sh\n")
            (source / "bootstrap").chmod(mode)
    return mounts


def test_the_heap_is_a_share_of_the_functions_memory() -> None:
    runtime = Runtime("java21", "java:21", ("java", "-Xmx{heap_mb}m", "Main"), heap_share=0.5)
    assert runtime.command("example.Handler", memory_mb=512) == ("java", "-Xmx256m", "Main", "example.Handler")


def test_a_wrapper_starts_the_runtime_in_its_place() -> None:
    runtime = Runtime("python3.11", "python:3.11", ("python", "bootstrap.py"))
    command = runtime.command("app.handler", environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"})
    assert command[:2] == ("/bin/sh", "-c")  # which says why if it can't
    assert command[3:] == ("/opt/wrapper", "python", "bootstrap.py", "app.handler")


def test_the_packages_bootstrap_comes_before_a_layers(tmp_path: Path) -> None:
    mounts = shown(tmp_path, "/var/task/bootstrap", "/opt/bootstrap")
    environment = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}
    assert PROVIDED.command("any", mounts=mounts, environment=environment) == ("/var/task/bootstrap",)


def test_a_layer_may_bring_the_bootstrap(tmp_path: Path) -> None:
    assert PROVIDED.command("any", mounts=shown(tmp_path, "/opt/bootstrap")) == ("/opt/bootstrap",)


def test_a_package_without_bootstrap_is_told_in_awss_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidEntrypoint) as caught:
        PROVIDED.command("any", mounts=shown(tmp_path))
    assert str(caught.value) == "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"


def test_a_bootstrap_that_others_may_not_execute_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidEntrypoint) as caught:
        PROVIDED.command("any", mounts=shown(tmp_path, "/var/task/bootstrap", mode=0o744))
    assert str(caught.value) == "fork/exec /var/task/bootstrap: permission denied"


def test_stand_in_looks_layers_up_by_the_number_that_was_asked_for() -> None:
    node = Runtime("nodejs20.x", "nodejs:20.1.0", defaults={"NODE_PATH": "/opt/nodejs/node20/node_modules:/var/task"})
    other = node.in_place_of("nodejs24.x")
    assert (other.stands_for, other.family) == ("nodejs24.x", "nodejs20.x")
    assert other.defaults == {"NODE_PATH": "/opt/nodejs/node24/node_modules:/var/task"}
