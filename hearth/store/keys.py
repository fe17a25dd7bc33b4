"""Every key, its type and meaning, in one table.

state
    hearth:secret                       string  the platform's signing and encryption key, made once
    hearth:platform                     hash    where gateway and coordination are, for workers on other hosts
    hearth:functions:epoch              int     raised by every change of a function
    hearth:function:{acct:region}:NAME  hash    record ($LATEST), revision, alias:NAME, KIND:QUALIFIER
    hearth:functions:{acct:region}      zset    names, score 0 (lexicographic index for pages)
    hearth:function-versions:{acct:region}:NAME  hash  published version's number -> record
    hearth:function-numbers:{acct:region}        hash  name -> last version number given; outlives it
    hearth:code-signing:{acct:region}   hash    id -> code signing configuration
    hearth:layer:{acct:region}:NAME     hash    number -> layer version, policy:NUMBER, last (the last number given)
    hearth:layers:{acct:region}         zset    names of layers with a version, score 0
    hearth:version:KEY                  string  FunctionVersion JSON; superseded ones expire
    hearth:access-keys                  hash    access key id -> whose it is and what it may do (JSON, no secret)
    hearth:roles                        hash    "acct:role name" -> what the role may do (JSON)
    hearth:identities:epoch             int     raised by every change of an access key or a role
    hearth:concurrency                  set     "acct:region:NAME" of functions with reserved or provisioned concurrency
    hearth:events:partitions            int     the most partitions that events were ever spread over
    hearth:events:fence:N               int     a partition's latest lease token
    hearth:events:aside:N               set     ARNs of the functions that have a queue aside in the partition
    hearth:events:delays:N              set     delays (s) that have a queue in the partition
    hearth:events:dropped               hash    "ARN|reason" -> how many events
    hearth:events:dropped:ARN           stream  the latest dropped events' invocation records (field record)
    hearth:events:unreadable            stream  messages among the events that could not be read (headers, body)
    hearth:machine:{acct:region}:NAME   hash    a state machine: revision, record
    hearth:machines:{acct:region}       zset    names, score = created at, epoch ms
    hearth:machine-versions:{a:r}:NAME  hash    version number -> MachineVersion JSON
    hearth:machine-aliases:{a:r}:NAME   hash    alias name -> MachineAlias JSON
    hearth:activity:{acct:region}:NAME  string  Activity JSON
    hearth:activities:{acct:region}     zset    names, score = created at, epoch ms
    hearth:clock                        hash    the platform's clock: anchor (real epoch ms), advanced (ms)
    hearth:snapshot:KEY                 string  what executions keep of a machine (model.execution.Snapshot JSON)
    hearth:execution:ARN                hash    start (Execution JSON), status, stopped, output, error, cause, redrives,
                                                redriven, version (of commits), archive (file of its history)
    hearth:workflows:state:ARN          hash    the core's state in pieces; task:ID -> a task not ended, JSON
    hearth:history:ARN                  list    the execution's events, JSON, in order of their ids
    hearth:executions:ARN               zset    executions of a machine, version, alias or map run -> started, epoch ms
    hearth:executions:ARN:STATUS        zset    the same by status; closed ones -> stopped, epoch ms
    hearth:executions-open:{acct:reg}   int     executions that have not ended
    hearth:workflows:shards             int     shards that executions are spread over; set once
    hearth:workflows:fence:N            int     a shard's latest lease token
    hearth:workflows:inbox:N            stream  what reaches the shard's executions (execution, message)
    hearth:workflows:timers:N           zset    "ARN|timer" -> due, platform epoch ms
    hearth:workflows:tasks:N            set     "ARN|task": tasks that have not ended; "ARN|0": what goes on by itself
    hearth:workflows:tokens:N           hash    "ARN|task" -> the token by which it may be ended from outside
    hearth:workflows:closed             zset    ARN -> closed, platform epoch ms (for retention)
    hearth:workflows:unarchived         zset    ARN -> closed: executions whose history has not been moved to a file
    hearth:claim:TASK:ATTEMPT           string  who runs a task, or its result; with expiry
    hearth:claimant:ID                  string  who holds claims and lives; with expiry
    hearth:activity-tasks:ARN           list    an activity's tasks that no worker has taken, JSON
    hearth:activity-bell:ARN            list    wakes those who wait for one
    hearth:map-run:ARN                  hash    a Distributed Map's run
    hearth:map-runs:ARN                 zset    an execution's map runs -> started, epoch ms
    hearth:api:ID                       hash    an API of API Gateway: revision, record, snapshot:DEPLOYMENT
    hearth:apis:KIND:{acct:region}      zset    ids of an account's HTTP or REST APIs, score 0
    hearth:url:ID                       string  [account, region, function, alias] that a function URL belongs to
    hearth:doors:epoch                  int     raised by every change of an API or a function URL
    hearth:stream:{acct:region}:NAME    hash    a data stream: revision, record (model.stream.Stream JSON)
    hearth:streams:{acct:region}        zset    names, score 0
    hearth:shard:{a:r}:NAME:CREATED:ID  stream  a shard's records: k partition key, d data; the id's ms is the arrival
    hearth:stream-places                set     "acct:region" where a data stream or a table's stream was ever made
    hearth:table:{acct:region}:NAME     hash    a DynamoDB table: revision, record (model.table.Table JSON), bytes
    hearth:tables:{acct:region}         zset    names, score 0
    hearth:items:{a:r}:NAME:CREATED     hash    place (model.table) -> item, canonical JSON
    hearth:places:{a:r}:NAME:CREATED    zset    places, score 0 (lexicographic order)
    hearth:transaction:{a:r}:TOKEN      string  digest of a transaction that was done under the token; with expiry
    hearth:change-streams:{acct:region} hash    TABLE/LABEL -> model.change.ChangeStream JSON
    hearth:changes:{a:r}:TABLE:LABEL    stream  change records: e event's name, k keys, n new image, o old image (JSON)
    hearth:mappings                     set     "acct:region:uuid" of all event source mappings
    hearth:mappings:epoch               int     raised by every change of a mapping
    hearth:mapping:{acct:region}:UUID   hash    generation, record (JSON), result (of its last batch), tags
    hearth:mapping-pairs:{acct:region}  hash    "source|function|qualifier|queue" -> the mapping's uuid
    hearth:mapping-fences:{a:r}:UUID    hash    unit (shard, or queue) -> latest lease token
    hearth:mapping-checkpoints:{a:r}:UUID  hash unit -> how far its records are done

coordination (may be lost at any time)
    hearth:workers                      zset    worker id -> expiry, epoch ms (heartbeat)
    hearth:worker:ID                    hash    its figures: sandboxes, busy, waiting, cold_starts, ...
    hearth:families                     zset    runtime family that a living worker has installed -> expiry, epoch ms
    hearth:born                         string  since when this server knows its workers, epoch ms
    hearth:gateways                     zset    gateway id -> expiry, epoch ms
    hearth:ack:CHANGE                   set     gateways that have taken a change in
    hearth:slots:ACCT:REGION            zset    sandbox id -> expiry: an account's sandboxes on demand
    hearth:slots:ARN                    zset    sandbox id -> expiry: a function's sandboxes on demand
    hearth:scaling:ARN                  hash    starts left in the 10 s (starts), and when they were counted (at)
    hearth:requests:WHOSE               int     requests that all gateways counted against a rate; with expiry
    hearth:provisioned:KEY              zset    sandbox id -> expiry: a version's provisioned sandboxes
    hearth:provisioned:ready:KEY        zset    sandbox id -> expiry: the ready ones
    hearth:provisioned:lease            string  the poller that provisions, with expiry
    hearth:idle:ACCT:REGION             zset    "worker|sandbox|arn|version key" -> since when idle, epoch ms
    hearth:started:RUN                  string  worker that started a placed request (Invocation.run_id)
    hearth:epoch:KEY                    int     epoch of a version's queue
    hearth:pollers                      zset    poller id -> expiry, epoch ms
    hearth:events:lease:N               string  the poller that consumes the partition, with expiry
    hearth:mappings:pollers             zset    poller id -> expiry, epoch ms, of those that run mappings
    hearth:mappings:lease:UUID:UNIT     string  the poller that runs a mapping's unit, with expiry
    hearth:mappings:progress:UUID       hash    unit -> how far it is, for people (model.mapping.Progress JSON)
    hearth:trim:lease                   string  the poller that trims streams, with expiry
    hearth:shard-rate:WAY:ARN:CREATED:ID hash   a shard's rate, in or out: count, bytes (what is left), at (epoch ms)
    hearth:orchestrators                zset    orchestrator id -> expiry, epoch ms
    hearth:workflows:lease:N            string  the orchestrator that runs the shard, with expiry
"""

from __future__ import annotations

WORKERS = "hearth:workers"
FAMILIES = "hearth:families"
BORN = "hearth:born"
GATEWAYS = "hearth:gateways"
FUNCTIONS_EPOCH = "hearth:functions:epoch"
ACCESS_KEYS = "hearth:access-keys"
ROLES = "hearth:roles"
IDENTITIES_EPOCH = "hearth:identities:epoch"
SECRET = "hearth:secret"
PLATFORM = "hearth:platform"
CONCURRENCY = "hearth:concurrency"
PROVISIONED_LEASE = "hearth:provisioned:lease"
POLLERS = "hearth:pollers"
EVENT_PARTITIONS = "hearth:events:partitions"
EVENTS_DROPPED = "hearth:events:dropped"
EVENTS_UNREADABLE = "hearth:events:unreadable"
CLOCK = "hearth:clock"
WORKFLOW_SHARDS = "hearth:workflows:shards"
WORKFLOWS_CLOSED = "hearth:workflows:closed"
WORKFLOWS_UNARCHIVED = "hearth:workflows:unarchived"
ORCHESTRATORS = "hearth:orchestrators"
TRIM_LEASE = "hearth:trim:lease"
STREAM_PLACES = "hearth:stream-places"
MAPPINGS = "hearth:mappings"
MAPPINGS_EPOCH = "hearth:mappings:epoch"
MAPPING_POLLERS = "hearth:mappings:pollers"
DOORS_EPOCH = "hearth:doors:epoch"


def requests(whose: str) -> str:
    return f"hearth:requests:{whose}"


def function(account: str, region: str, name: str) -> str:
    return f"hearth:function:{{{account}:{region}}}:{name}"


def functions(account: str, region: str) -> str:
    return f"hearth:functions:{{{account}:{region}}}"


def function_versions(account: str, region: str, name: str) -> str:
    return f"hearth:function-versions:{{{account}:{region}}}:{name}"


def function_numbers(account: str, region: str) -> str:
    return f"hearth:function-numbers:{{{account}:{region}}}"


def code_signing(account: str, region: str) -> str:
    return f"hearth:code-signing:{{{account}:{region}}}"


def layer(account: str, region: str, name: str) -> str:
    return f"hearth:layer:{{{account}:{region}}}:{name}"


def layers(account: str, region: str) -> str:
    return f"hearth:layers:{{{account}:{region}}}"


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


def scaling(arn: str) -> str:
    return f"hearth:scaling:{arn}"


def provisioned(version_key: str) -> str:
    return f"hearth:provisioned:{version_key}"


def provisioned_ready(version_key: str) -> str:
    return f"hearth:provisioned:ready:{version_key}"


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


def machine(account: str, region: str, name: str) -> str:
    return f"hearth:machine:{{{account}:{region}}}:{name}"


def machines(account: str, region: str) -> str:
    return f"hearth:machines:{{{account}:{region}}}"


def machine_versions(account: str, region: str, name: str) -> str:
    return f"hearth:machine-versions:{{{account}:{region}}}:{name}"


def machine_aliases(account: str, region: str, name: str) -> str:
    return f"hearth:machine-aliases:{{{account}:{region}}}:{name}"


def activity(account: str, region: str, name: str) -> str:
    return f"hearth:activity:{{{account}:{region}}}:{name}"


def activities(account: str, region: str) -> str:
    return f"hearth:activities:{{{account}:{region}}}"


def snapshot(key: str) -> str:
    return f"hearth:snapshot:{key}"


def execution(arn: str) -> str:
    return f"hearth:execution:{arn}"


def history(arn: str) -> str:
    return f"hearth:history:{arn}"


def executions(arn: str, status: str = "") -> str:
    """Of a machine, version, alias or map run; all of them, or those of a status."""
    return f"hearth:executions:{arn}:{status}" if status else f"hearth:executions:{arn}"


def executions_open(account: str, region: str) -> str:
    return f"hearth:executions-open:{{{account}:{region}}}"


def workflow_fence(shard: int) -> str:
    return f"hearth:workflows:fence:{shard}"


def workflow_state(execution_arn: str) -> str:
    return f"hearth:workflows:state:{execution_arn}"


def workflow_inbox(shard: int) -> str:
    return f"hearth:workflows:inbox:{shard}"


def workflow_timers(shard: int) -> str:
    return f"hearth:workflows:timers:{shard}"


def workflow_tasks(shard: int) -> str:
    return f"hearth:workflows:tasks:{shard}"


def workflow_tokens(shard: int) -> str:
    return f"hearth:workflows:tokens:{shard}"


def workflow_lease(shard: int) -> str:
    return f"hearth:workflows:lease:{shard}"


def claim(task: str, attempt: int) -> str:
    return f"hearth:claim:{task}:{attempt}"


def claimant(claimant_id: str) -> str:
    return f"hearth:claimant:{claimant_id}"


def activity_tasks(arn: str) -> str:
    return f"hearth:activity-tasks:{arn}"


def activity_bell(arn: str) -> str:
    return f"hearth:activity-bell:{arn}"


def map_run(arn: str) -> str:
    return f"hearth:map-run:{arn}"


def map_runs(execution_arn: str) -> str:
    return f"hearth:map-runs:{execution_arn}"


def api(api_id: str) -> str:
    return f"hearth:api:{api_id}"


def apis(kind: str, account: str, region: str) -> str:
    return f"hearth:apis:{kind}:{{{account}:{region}}}"


def url(url_id: str) -> str:
    return f"hearth:url:{url_id}"


def stream(account: str, region: str, name: str) -> str:
    return f"hearth:stream:{{{account}:{region}}}:{name}"


def streams(account: str, region: str) -> str:
    return f"hearth:streams:{{{account}:{region}}}"


def shard(account: str, region: str, name: str, created_at_ms: int, shard_id: str) -> str:
    """created_at_ms: of the stream; one that comes later under the same name has other logs."""
    return f"hearth:shard:{{{account}:{region}}}:{name}:{created_at_ms}:{shard_id}"


def table(account: str, region: str, name: str) -> str:
    return f"hearth:table:{{{account}:{region}}}:{name}"


def tables(account: str, region: str) -> str:
    return f"hearth:tables:{{{account}:{region}}}"


def items(account: str, region: str, name: str, created_at_ms: int) -> str:
    """created_at_ms: of the table; one that comes later under the same name has other items."""
    return f"hearth:items:{{{account}:{region}}}:{name}:{created_at_ms}"


def places(account: str, region: str, name: str, created_at_ms: int) -> str:
    return f"hearth:places:{{{account}:{region}}}:{name}:{created_at_ms}"


def transaction(account: str, region: str, token: str) -> str:
    return f"hearth:transaction:{{{account}:{region}}}:{token}"


def change_streams(account: str, region: str) -> str:
    return f"hearth:change-streams:{{{account}:{region}}}"


def changes(account: str, region: str, table_name: str, label: str) -> str:
    """label: of the table's stream, the last part of its ARN."""
    return f"hearth:changes:{{{account}:{region}}}:{table_name}:{label}"


def mapping(account: str, region: str, uuid: str) -> str:
    return f"hearth:mapping:{{{account}:{region}}}:{uuid}"


def mapping_pairs(account: str, region: str) -> str:
    return f"hearth:mapping-pairs:{{{account}:{region}}}"


def mapping_fences(account: str, region: str, uuid: str) -> str:
    return f"hearth:mapping-fences:{{{account}:{region}}}:{uuid}"


def mapping_checkpoints(account: str, region: str, uuid: str) -> str:
    return f"hearth:mapping-checkpoints:{{{account}:{region}}}:{uuid}"


def mapping_lease(uuid: str, unit: str) -> str:
    return f"hearth:mappings:lease:{uuid}:{unit}"


def mapping_progress(uuid: str) -> str:
    return f"hearth:mappings:progress:{uuid}"


def shard_rate(way: str, stream_arn: str, created_at_ms: int, shard_id: str) -> str:
    """way: in or out. created_at_ms: of the stream."""
    return f"hearth:shard-rate:{way}:{stream_arn}:{created_at_ms}:{shard_id}"
