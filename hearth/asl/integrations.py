"""The optimised service integrations: which actions there are, and how long each can be waited for.

Source: Step Functions Developer Guide, "Integrating optimized services".
"""

from __future__ import annotations

from hearth.asl.definition import Pattern, Resource, ResourceKind

_RR, _SYNC, _SYNC_2, _TOKEN = Pattern.REQUEST_RESPONSE, Pattern.SYNC, Pattern.SYNC_2, Pattern.WAIT_FOR_TASK_TOKEN
_JOB = frozenset({_RR, _SYNC})
_CALL = frozenset({_RR})
_CALLBACK = frozenset({_RR, _TOKEN})


def _each(names: str, patterns: frozenset[Pattern]) -> dict[str, frozenset[Pattern]]:
    return dict.fromkeys(names.split(), patterns)


#: service → action → patterns
OPTIMISED: dict[str, dict[str, frozenset[Pattern]]] = {
    "lambda": _each("invoke", _CALLBACK),
    "states": _each("startExecution", frozenset({_RR, _SYNC, _SYNC_2, _TOKEN})),
    "sqs": _each("sendMessage", _CALLBACK),
    "sns": _each("publish", _CALLBACK),
    "events": _each("putEvents", _CALLBACK),
    "dynamodb": _each("getItem putItem updateItem deleteItem", _CALL),
    "http": _each("invoke", _CALL),
    "apigateway": _each("invoke", _CALLBACK),
    "ecs": _each("runTask", frozenset({_RR, _SYNC, _TOKEN})),
    "batch": _each("submitJob", _JOB),
    "glue": _each("startJobRun", _JOB),
    "databrew": _each("startJobRun", _JOB),
    "codebuild": _each("startBuild startBuildBatch", _JOB)
    | _each("stopBuild stopBuildBatch retryBuild retryBuildBatch deleteBuildBatch batchDeleteBuilds batchGetReports "
            "batchGetBuilds batchGetBuildBatches", _CALL),
    "athena": _each("startQueryExecution", _JOB)
    | _each("stopQueryExecution getQueryExecution getQueryResults", _CALL),
    "sagemaker": _each("createTrainingJob createTransformJob createHyperParameterTuningJob createLabelingJob "
                       "createProcessingJob createAutoMLJob createAutoMLJobV2", _JOB)
    | _each("createEndpoint createEndpointConfig createModel updateEndpoint", _CALL),
    "elasticmapreduce": _each("createCluster terminateCluster addStep", _JOB)
    | _each("cancelStep setClusterTerminationProtection modifyInstanceFleetByName modifyInstanceGroupByName", _CALL),
    "emr-containers": _each("deleteVirtualCluster startJobRun", _JOB) | _each("createVirtualCluster", _CALL),
    "emr-serverless": _each("createApplication startApplication stopApplication deleteApplication startJobRun "
                            "cancelJobRun", _JOB),
    "eks": _each("createCluster deleteCluster createFargateProfile deleteFargateProfile createNodegroup "
                 "deleteNodegroup runJob", _JOB) | _each("call", _CALL),
    "mediaconvert": _each("createJob", _JOB),
    "bedrock": _each("invokeModel", _CALL) | _each("createModelCustomizationJob", _JOB),
}  # fmt: skip

#: what an ItemReader reads with, and a ResultWriter writes with
READERS = frozenset({("s3", "getObject"), ("s3", "listObjectsV2")})
WRITERS = frozenset({("s3", "putObject")})


def is_known(resource: Resource) -> bool:
    """Whether a Task's Resource names something that there is. Of aws-sdk only the pattern is looked at."""
    if resource.kind is ResourceKind.AWS_SDK:
        return resource.pattern in _CALLBACK
    if resource.kind is ResourceKind.SERVICE:
        return resource.pattern in OPTIMISED.get(resource.service, {}).get(resource.action, frozenset())
    return True
