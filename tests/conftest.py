"""Session fixtures: real servers and the whole platform, each started once, private, stopped at the end.

Everything is written below .hearth-test/ in the clone; prepared runtimes are shared in ~/.cache/hearth/runtimes.
Tests that need what this host lacks are skipped, but fail where CI=true.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import places
from tests.support.companion import CompanionServer
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

#: an Amazon MQ broker that `stack` knows by its address; every other ARN means the platform's own
NAMED_BROKER = "arn:aws:mq:us-east-1:000000000000:broker:named:b-1"

#: the files that take longest come first, so that none of several processes is left alone with one of them
LONGEST = (
    *("test_isolation.py", "test_up.py", "test_hosts.py", "test_runtimes.py"),
    *("test_cli.py", "test_workflow_cli.py", "test_events.py", "test_life_stories.py"),
    *("test_events_survive.py", "test_streams_survive.py", "test_workflows_survive.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of files only; pytest itself knows no order of files that its folders' names don't give."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_configure(config: pytest.Config) -> None:
    """pytest's temporary folders too stay in the clone; no HEARTH_* of the caller reaches a test."""
    places.SCRATCH.mkdir(exist_ok=True)
    # on a busy machine an example takes as long as it takes
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")
    if config.option.basetemp is None:  # one per session: several may run at once
        folder = tempfile.mkdtemp(prefix="tmp-", dir=places.SCRATCH)
        config.option.basetemp = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    for name in [name for name in os.environ if name.startswith(("HEARTH_", "AWS_"))]:
        if name != "AWS_CA_BUNDLE":
            del os.environ[name]
    # boto3 must not find the caller's accounts
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a test that failed comes what the platform logged."""
    report = yield
    for value in getattr(item, "funcargs", {}).values() if report.failed else ():
        if isinstance(value, PlatformStack):
            report.sections.append((f"log of the platform on port {value.port}", value.tails(3_000)))
    return report


def missing(reason: str) -> None:
    """Skip here; in CI what is missing is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """An own data folder of this session, gone afterwards; its runtimes are the shared ones."""
    with places.data_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def servers(data_dir: Path) -> Iterator[PrivateServers]:
    """RabbitMQ and both Valkeys: .broker_url, .state_url, .coordination_url."""
    if reason := PrivateServers.unavailable():
        missing(reason)
    with PrivateServers(data_dir) as running:
        yield running


@pytest.fixture(scope="session")
def stack(servers: PrivateServers, data_dir: Path) -> Iterator[PlatformStack]:
    """The whole platform on free ports, on top of `servers`; every process is real. Failed events run again soon."""
    here = servers.broker_url.rpartition("@")[2].partition("/")[0]
    brokers = f"{NAMED_BROKER}=amqp://{here},*=own"
    with PlatformStack(data_dir, servers, event_retry_base_seconds=0.5, stem_cells=1, mq_brokers=brokers) as running:
        yield running


@pytest.fixture(scope="session")
def companion(stack: PlatformStack) -> Iterator[CompanionServer]:
    """S3, SQS, SNS, DynamoDB and EventBridge (moto), where `stack` looks for them."""
    with CompanionServer(stack.companion_port) as running:
        yield running
