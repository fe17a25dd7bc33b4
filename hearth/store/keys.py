"""Every key, its type and meaning, in one table.

state
    hearth:secret                       string  the platform's signing and encryption key, made once
    hearth:platform                     hash    where gateway and coordination are, for workers on other hosts
    hearth:functions:epoch              int     raised by every change of a function
    hearth:function:{acct:region}:NAME  hash    the function's record
    hearth:functions:{acct:region}      zset    names, score 0 (lexicographic index for pages)
    hearth:version:KEY                  string  FunctionVersion JSON; superseded ones expire
    hearth:events:partitions            int     the most partitions that events were ever spread over
    hearth:events:fence:N               int     a partition's latest lease token
    hearth:events:aside:N               set     ARNs of the functions that have a queue aside in the partition
    hearth:events:delays:N              set     delays (s) that have a queue in the partition
    hearth:events:dropped               hash    "ARN|reason" -> how many events
    hearth:events:dropped:ARN           stream  the latest dropped events' invocation records (field record)
    hearth:events:unreadable            stream  messages among the events that could not be read (headers, body)

coordination (may be lost at any time)
    hearth:workers                      zset    worker id -> expiry, epoch ms (heartbeat)
    hearth:worker:ID                    hash    its figures: sandboxes, busy, waiting, cold_starts, ...
    hearth:families                     zset    runtime family that a living worker has installed -> expiry, epoch ms
    hearth:born                         string  since when this server knows its workers, epoch ms
    hearth:gateways                     zset    gateway id -> expiry, epoch ms
    hearth:ack:CHANGE                   set     gateways that have taken a change in
    hearth:slots:ACCT:REGION            zset    sandbox id -> expiry: an account's unreserved sandboxes
    hearth:slots:ARN                    zset    sandbox id -> expiry: sandboxes of a function with reserved concurrency
    hearth:idle:ACCT:REGION             zset    "worker|sandbox|arn|version key" -> since when idle, epoch ms
    hearth:started:RUN                  string  worker that started a placed request (Invocation.run_id)
    hearth:epoch:KEY                    int     epoch of a version's queue
    hearth:pollers                      zset    poller id -> expiry, epoch ms
    hearth:events:lease:N               string  the poller that consumes the partition, with expiry
"""

from __future__ import annotations

WORKERS = "hearth:workers"
FAMILIES = "hearth:families"
BORN = "hearth:born"
GATEWAYS = "hearth:gateways"
FUNCTIONS_EPOCH = "hearth:functions:epoch"
SECRET = "hearth:secret"
PLATFORM = "hearth:platform"
POLLERS = "hearth:pollers"
EVENT_PARTITIONS = "hearth:events:partitions"
EVENTS_DROPPED = "hearth:events:dropped"
EVENTS_UNREADABLE = "hearth:events:unreadable"


def function(account: str, region: str, name: str) -> str:
    return f"hearth:function:{{{account}:{region}}}:{name}"


def functions(account: str, region: str) -> str:
    return f"hearth:functions:{{{account}:{region}}}"


def version(key: str) -> str:
    return f"hearth:version:{key}"


def worker(worker_id: str) -> str:
    return f"hearth:worker:{worker_id}"


def ack(change_id: str) -> str:
    return f"hearth:ack:{change_id}"


def account_slots(account: str, region: str) -> str:
    return f"hearth:slots:{account}:{region}"


def function_slots(arn: str) -> str:
    return f"hearth:slots:{arn}"


def idle(account: str, region: str) -> str:
    return f"hearth:idle:{account}:{region}"


def started(run_id: str) -> str:
    return f"hearth:started:{run_id}"


def epoch(version_key: str) -> str:
    return f"hearth:epoch:{version_key}"


def event_fence(partition: int) -> str:
    return f"hearth:events:fence:{partition}"


def events_aside(partition: int) -> str:
    return f"hearth:events:aside:{partition}"


def event_delays(partition: int) -> str:
    return f"hearth:events:delays:{partition}"


def event_lease(partition: int) -> str:
    return f"hearth:events:lease:{partition}"


def events_dropped(arn: str) -> str:
    return f"hearth:events:dropped:{arn}"
