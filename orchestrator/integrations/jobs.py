"""Jobs of other services that a `.sync` task waits for: looked at until they have ended.

AWS is told of a job's end by an event, and looks now and then as well; whoever serves these services here need send
none. What a look finds at the end is the task's result, or the cause of its failure. Looking changes nothing, so
whoever takes a shard over looks on.
Source: Step Functions Developer Guide, "Integrating optimized services"; the services' models.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from hearth.aws_clients import AwsCallFailed, AwsClients, AwsUnreachable
from hearth.clock import Deadline
from hearth.errors import HearthError
from orchestrator.integrations import TaskCall, TaskError
from orchestrator.integrations.aws_sdk import LONGEST_S, AwsSdk, botocore_name
from orchestrator.integrations.shapes import from_answer, to_parameters

log = logging.getLogger(__name__)

#: pauses between two looks: the first, and then half as long again up to the longest
FIRST_LOOK_S = 0.5
LONGEST_LOOK_S = 10.0

#: (what starting it was asked for, what it answered) -> parameters
_Asking = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


class _Gone(Exception):
    """What was to be deleted is."""


@dataclass(frozen=True, slots=True)
class Job:
    """How one kind of job is looked at and stopped.

    found: the way to the job in the answer; status: the way on to its status; stop: "" if it goes on though nobody
    waits, as clusters do; fell_through: whether one that has ended well by its status has not; shown: the member of the
    task's result that holds the job, "" if it is the result; beside: whether what starting it answered is in the
    result, too; gone: whether one that is not there any more has ended well.
    """

    look: str
    asking: _Asking
    found: tuple[str | int, ...]
    status: tuple[str, ...]
    succeeded: frozenset[str]
    failed: frozenset[str]
    stop: str = ""
    stopping: _Asking = lambda given, started: {}
    fell_through: Callable[[dict[str, Any]], bool] = lambda _: False
    shown: str = ""
    beside: bool = False
    gone: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _sagemaker(kind: str) -> Job:
    def asking(given: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
        return {f"{kind}Name": given.get(f"{kind}Name")}

    return Job(
        f"Describe{kind}", asking, (), (f"{kind}Status",), _names("Completed"), _names("Failed Stopped"),
        f"Stop{kind}", asking,
    )  # fmt: skip


def _task_of(_: dict[str, Any], started: dict[str, Any]) -> tuple[str, str]:
    tasks = started.get("Tasks") or []
    if not tasks:  # nothing was placed; `Failures` says why
        raise TaskError("States.TaskFailed", orjson.dumps(started).decode())
    return str(tasks[0]["ClusterArn"]), str(tasks[0]["TaskArn"])


def _ecs_look(given: dict[str, Any], started: dict[str, Any]) -> dict[str, Any]:
    cluster, task = _task_of(given, started)
    return {"Cluster": cluster, "Tasks": [task]}


def _ecs_stop(given: dict[str, Any], started: dict[str, Any]) -> dict[str, Any]:
    cluster, task = _task_of(given, started)
    return {"Cluster": cluster, "Task": task}


def _container_failed(task: dict[str, Any]) -> bool:
    """Of a task of ECS that has stopped; or it never started."""
    containers = task.get("Containers") or []
    return task.get("StopCode") == "TaskFailedToStart" or any(one.get("ExitCode") for one in containers)


def _run_of(given: dict[str, Any], started: dict[str, Any]) -> dict[str, Any]:
    return {"JobName": given.get("JobName"), "RunId": started.get("JobRunId")}


def _same(*names: str) -> _Asking:
    """What starting it answered under these names, or was asked for."""
    return lambda given, started: {name: started.get(name) or given.get(name) for name in names}


def _eks(kind: str, names: tuple[str, ...], not_made: str, not_deleted: str) -> dict[tuple[str, str], Job]:
    """How a cluster, or a part of one, comes into being and goes. names: of its name, in requests."""

    def asking(given: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
        return {name: given.get(name) for name in names}

    made = Job(f"Describe{kind}", asking, (kind,), ("Status",), _names("ACTIVE"), _names(not_made), shown=kind)
    deleted = replace(made, succeeded=frozenset(), failed=_names(not_deleted), gone=True)
    return {("eks", f"create{kind}"): made, ("eks", f"delete{kind}"): deleted}


def _application(succeeded: str, failed: str = "TERMINATED") -> Job:
    """Of EMR Serverless."""
    asking = _same("ApplicationId")
    return Job("GetApplication", asking, ("Application",), ("State",), _names(succeeded), _names(failed))


_CLUSTER = Job(
    "DescribeCluster", _same("ClusterId"), ("Cluster",), ("Status", "State"), _names("WAITING"),
    _names("TERMINATED TERMINATED_WITH_ERRORS"), shown="Cluster", beside=True,
)  # fmt: skip
_SERVERLESS_RUN = Job(
    "GetJobRun", _same("ApplicationId", "JobRunId"), ("JobRun",), ("State",), _names("SUCCESS"),
    _names("FAILED CANCELLED"), "CancelJobRun", _same("ApplicationId", "JobRunId"),
)  # fmt: skip

#: (service, action) -> its jobs
JOBS: dict[tuple[str, str], Job] = {
    ("athena", "startQueryExecution"): Job(
        "GetQueryExecution", lambda _, started: {"QueryExecutionId": started.get("QueryExecutionId")},
        ("QueryExecution",), ("Status", "State"), _names("SUCCEEDED"), _names("FAILED CANCELLED"),
        "StopQueryExecution", lambda _, started: {"QueryExecutionId": started.get("QueryExecutionId")},
        shown="QueryExecution",
    ),
    ("batch", "submitJob"): Job(
        "DescribeJobs", lambda _, started: {"Jobs": [started.get("JobId")]},
        ("Jobs", 0), ("Status",), _names("SUCCEEDED"), _names("FAILED"),
        "TerminateJob", lambda _, started: {"JobId": started.get("JobId"), "Reason": "The workflow's task has ended."},
    ),
    ("codebuild", "startBuild"): Job(
        "BatchGetBuilds", lambda _, started: {"Ids": [started.get("Build", {}).get("Id")]},
        ("Builds", 0), ("BuildStatus",), _names("SUCCEEDED"), _names("FAILED FAULT STOPPED TIMED_OUT"),
        "StopBuild", lambda _, started: {"Id": started.get("Build", {}).get("Id")}, shown="Build",
    ),
    ("ecs", "runTask"): Job(
        "DescribeTasks", _ecs_look, ("Tasks", 0), ("LastStatus",), _names("STOPPED"), frozenset(),
        "StopTask", _ecs_stop, _container_failed,
    ),
    ("glue", "startJobRun"): Job(
        "GetJobRun", _run_of, ("JobRun",), ("JobRunState",), _names("SUCCEEDED"),
        _names("FAILED STOPPED TIMEOUT ERROR EXPIRED"),
        "BatchStopJobRun", lambda given, started: {"JobName": given.get("JobName"), "JobRunIds": [started["JobRunId"]]},
    ),
    ("elasticmapreduce", "createCluster"): _CLUSTER,
    ("elasticmapreduce", "terminateCluster"): replace(
        _CLUSTER, succeeded=_names("TERMINATED TERMINATED_WITH_ERRORS"), failed=frozenset()
    ),
    ("elasticmapreduce", "addStep"): Job(
        "DescribeStep", _same("ClusterId", "StepId"), ("Step",), ("Status", "State"), _names("COMPLETED"),
        _names("CANCELLED FAILED INTERRUPTED"), "CancelSteps",
        lambda given, started: {"ClusterId": given.get("ClusterId"), "StepIds": [started.get("StepId")]},
        shown="Step", beside=True,
    ),
    ("emr-containers", "startJobRun"): Job(
        "DescribeJobRun", _same("Id", "VirtualClusterId"), ("JobRun",), ("State",), _names("COMPLETED"),
        _names("FAILED CANCELLED"), "CancelJobRun", _same("Id", "VirtualClusterId"),
    ),
    ("emr-containers", "deleteVirtualCluster"): Job(
        "DescribeVirtualCluster", _same("Id"), ("VirtualCluster",), ("State",), _names("TERMINATED"),
        _names("ARRESTED"),
    ),
    ("emr-serverless", "createApplication"): _application("CREATED STARTED"),
    ("emr-serverless", "startApplication"): _application("STARTED"),
    ("emr-serverless", "stopApplication"): _application("STOPPED"),
    ("emr-serverless", "deleteApplication"): replace(_application("TERMINATED", ""), gone=True),
    ("emr-serverless", "startJobRun"): _SERVERLESS_RUN,
    ("emr-serverless", "cancelJobRun"): replace(
        _SERVERLESS_RUN, succeeded=_names("CANCELLED"), failed=_names("FAILED SUCCESS"), stop=""
    ),
    **_eks("Cluster", ("Name",), "FAILED", "FAILED"),
    **_eks("Nodegroup", ("ClusterName", "NodegroupName"), "CREATE_FAILED", "DELETE_FAILED"),
    **_eks("FargateProfile", ("ClusterName", "FargateProfileName"), "CREATE_FAILED", "DELETE_FAILED"),
    ("bedrock", "createModelCustomizationJob"): Job(
        "GetModelCustomizationJob", lambda given, _: {"JobIdentifier": given.get("JobName")}, (), ("Status",),
        _names("Completed"), _names("Failed Stopped"),
        "StopModelCustomizationJob", lambda given, _: {"JobIdentifier": given.get("JobName")},
    ),
    **{
        ("sagemaker", f"create{kind}"): _sagemaker(kind)
        for kind in ("TrainingJob", "TransformJob", "ProcessingJob", "HyperParameterTuningJob")
    },
}  # fmt: skip


class Jobs:
    def __init__(self, aws: AwsClients) -> None:
        self._aws = aws

    async def end(self, task: TaskCall, started: str) -> str:
        """The ended job, JSON text. started: what the call that began it answered. Raises TaskError."""
        job = JOBS[task.service, task.action]
        begun = orjson.loads(started)
        asked = job.asking(task.parameters, begun)
        pause_s = FIRST_LOOK_S
        while True:
            try:
                answer = await self._look(task, job, asked)
            except _Gone:
                return started
            if answer is not None:
                found = _at(answer, job.found)
                status = _at(found, job.status)
                if status in job.failed or (status in job.succeeded and job.fell_through(found)):
                    raise TaskError("States.TaskFailed", orjson.dumps(found).decode())
                if status in job.succeeded:
                    ended = {job.shown: found} if job.shown else found
                    return orjson.dumps(begun | ended if job.beside else ended).decode()
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_LOOK_S, 1.5 * pause_s)

    async def stop(self, task: TaskCall, started: str) -> None:
        """Of a task that has no use for it any more; as on AWS, by best effort."""
        job = JOBS[task.service, task.action]
        if not job.stop:
            return
        try:
            await self._call(task, job.stop, job.stopping(task.parameters, orjson.loads(started)))
        except (HearthError, TaskError) as exc:
            log.warning("job not stopped", extra={"action": "job_not_stopped", "job": started, "error": str(exc)})

    async def _look(self, task: TaskCall, job: Job, asked: dict[str, Any]) -> dict[str, Any] | None:
        """None: look again. Raises TaskError, and _Gone of a job that may."""
        try:
            return await self._call(task, job.look, asked)
        except AwsUnreachable as exc:
            log.warning("job not seen", extra={"action": "job_not_seen", "job": asked, "error": str(exc)})
        except AwsCallFailed as exc:
            if job.gone and exc.code == "ResourceNotFoundException":
                raise _Gone from exc
            if exc.status < 500 and "Throttl" not in exc.code and exc.code != "TooManyRequestsException":
                raise AwsSdk.failed(task, exc) from exc
            log.warning("job not seen", extra={"action": "job_not_seen", "job": asked, "error": str(exc)})
        except HearthError as exc:
            raise TaskError("States.TaskFailed", str(exc)) from exc
        return None

    async def _call(self, task: TaskCall, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        exchange = await self._aws.exchange(
            botocore_name(task.service),
            operation,
            account=task.account,
            region=task.region,
            role=task.role_arn,
            deadline=Deadline.after(LONGEST_S),
            parameters=lambda model: to_parameters(model, parameters),
        )
        return from_answer(exchange.model, exchange.answer)


def _at(value: Any, way: tuple[str | int, ...]) -> Any:
    """None where the way ends."""
    for step in way:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
