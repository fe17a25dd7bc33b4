"""Every key, its type and meaning, in one table.

state
    hearth:secret                       string  the platform's signing and encryption key, made once
    hearth:functions:epoch              int     raised by every change of a function
    hearth:function:{acct:region}:NAME  hash    the function's record
    hearth:functions:{acct:region}      zset    names, score 0 (lexicographic index for pages)
    hearth:version:KEY                  string  FunctionVersion JSON; superseded ones expire

coordination (may be lost at any time)
    hearth:workers                      zset    worker id -> expiry, epoch ms (heartbeat)
    hearth:worker:ID                    hash    its figures: sandboxes, busy, waiting, cold_starts, ...
    hearth:born                         string  since when this server knows its workers, epoch ms
    hearth:gateways                     zset    gateway id -> expiry, epoch ms
    hearth:ack:CHANGE                   set     gateways that have taken a change in
    hearth:slots:ACCT:REGION            zset    sandbox id -> expiry: an account's unreserved sandboxes
    hearth:slots:ARN                    zset    sandbox id -> expiry: sandboxes of a function with reserved concurrency
    hearth:idle:ACCT:REGION             zset    "worker|sandbox|arn|version key" -> since when idle, epoch ms
    hearth:started:REQUEST              string  worker that started a placed request
    hearth:epoch:KEY                    int     epoch of a version's queue
"""

from __future__ import annotations

WORKERS = "hearth:workers"
BORN = "hearth:born"
GATEWAYS = "hearth:gateways"
FUNCTIONS_EPOCH = "hearth:functions:epoch"
SECRET = "hearth:secret"


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


def started(request_id: str) -> str:
    return f"hearth:started:{request_id}"


def epoch(version_key: str) -> str:
    return f"hearth:epoch:{version_key}"
