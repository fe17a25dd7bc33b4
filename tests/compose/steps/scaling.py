"""Under load, and while services become more and fewer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.compose.project import Container
from tests.compose.stack import Stack, require, say
from tests.compose.traffic import Traffic


def takes_load(stack: Stack) -> None:
    options = ("--headless", "--only-summary", "--users", "16", "--spawn-rate", "8", "--run-time", "60s")
    done = stack.project.try_compose(
        stack.engine, "--profile", "load", "run", "--rm", "-T", "locust", *options, "--stop-timeout", "20"
    )
    text = done.stdout + done.stderr
    # the figures; of a failure also what each kind of error was
    print(text[text.find("Type  ") :][: None if done.returncode else 3000], flush=True)
    require(done.returncode == 0, f"locust ended with {done.returncode}: a request failed or an event has not run")


def scales_without_a_failed_request(stack: Stack) -> None:
    with Traffic(stack) as traffic:
        for numbers in ({"workers": 3, "gateway": 1}, {"workers": 3, "gateway": 2}, {"workers": 1, "gateway": 1}):
            stack.up(**numbers)
            traffic.more(200)
            say(f"{numbers}: {traffic.answered} answers so far, {len(traffic.failures)} failed")
    require(not traffic.failures, f"requests failed: {traffic.failures[:5]}")


def workers_share_no_user_ids(stack: Stack) -> None:
    stack.up(workers=3, gateway=1)
    seen: dict[str, set[int]] = {}
    with ThreadPoolExecutor(24) as threads:
        calls = [threads.submit(stack.invoke, {"sleep": 6, "number": number}) for number in range(24)]
        # cold starts take their time on a busy machine: look for as long as anything runs
        while not all(call.done() for call in calls):
            now = {one.id[:12]: user_ids(stack, one) for one in stack.project.containers(stack.engine, "workers")}
            every = [uid for uids in now.values() for uid in uids]
            require(len(every) == len(set(every)), f"two containers use one user id: {now}")
            seen = {name: seen.get(name, set()) | uids for name, uids in now.items()}
            time.sleep(0.5)
        for call in calls:
            call.result()
    say(", ".join(f"{name}: {len(uids)} from {min(uids, default=0)}" for name, uids in seen.items()))
    require(sum(bool(uids) for uids in seen.values()) >= 2, f"sandboxes of one container only: {seen}")


def user_ids(stack: Stack, workers: Container) -> set[int]:
    """Of what runs in sandboxes of this container."""
    listed = stack.engine.docker("top", workers.id, "-eo", "pid,uid").splitlines()[1:]
    return {uid for uid in (int(line.split()[1]) for line in listed) if uid >= 20_000}
