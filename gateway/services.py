"""The services that this gateway answers for, and which function carries out which operation."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import sts_api
from gateway.apigateway_api.operations import OPERATIONS as REST_APIS
from gateway.apigatewayv2_api.operations import OPERATIONS as HTTP_APIS
from gateway.call import Operation
from gateway.dynamodb_api.operations import OPERATIONS as TABLES
from gateway.dynamodbstreams_api.operations import OPERATIONS as TABLE_STREAMS
from gateway.kinesis_api.operations import OPERATIONS as KINESIS
from gateway.lambda_api import (
    account,
    code_signing,
    concurrency,
    event_invoke_config,
    event_source_mappings,
    functions,
    invoke,
    invoke_stream,
    layer_policies,
    layers,
    permissions,
    recursion,
    runtime_management,
    url_configs,
    versions,
)
from gateway.lambda_api import aliases as function_aliases
from gateway.lambda_api import tags as function_tags
from gateway.logs_api import operations as logs
from gateway.protocols.service import Service
from gateway.states_api import (
    activities,
    aliases,
    executions,
    history,
    machines,
    map_runs,
    tags,
    task_callbacks,
    test_state,
    validation,
)
from hearth.limits import Limits


@dataclass(frozen=True, slots=True)
class Offer:
    """A service's model and what of it is there."""

    service: Service
    operations: dict[str, Operation]


def offers(limits: Limits) -> list[Offer]:
    return [
        Offer(
            # AWS words these otherwise (lambda_api.configuration, layers, url_configs, mapping_options).
            Service(
                "lambda",
                unchecked=(
                    "Runtime",
                    "InvokeMode",
                    "CompatibleRuntimes",
                    "CompatibleRuntime",
                    "CompatibleArchitectures",
                    "StartingPosition",
                ),
                # The model's limits are those of managed instances, which are wider.
                maxima={
                    "Timeout": limits.timeout_s,
                    "MemorySize": limits.memory_mb,
                    "EphemeralStorageSize": limits.ephemeral_mb,
                    "ResourcePolicy": limits.policy_bytes,
                },
            ),
            {
                **account.OPERATIONS,
                **concurrency.OPERATIONS,
                **event_invoke_config.OPERATIONS,
                **event_source_mappings.OPERATIONS,
                **function_tags.OPERATIONS,
                **permissions.OPERATIONS,
                **recursion.OPERATIONS,
                "AddLayerVersionPermission": layer_policies.add_layer_version_permission,
                "CreateAlias": function_aliases.create_alias,
                "CreateCodeSigningConfig": code_signing.create_code_signing_config,
                "CreateFunction": functions.create_function,
                "CreateFunctionUrlConfig": url_configs.create_function_url_config,
                "DeleteAlias": function_aliases.delete_alias,
                "DeleteCodeSigningConfig": code_signing.delete_code_signing_config,
                "DeleteFunction": functions.delete_function,
                "DeleteFunctionCodeSigningConfig": code_signing.delete_function_code_signing_config,
                "DeleteFunctionUrlConfig": url_configs.delete_function_url_config,
                "DeleteLayerVersion": layers.delete_layer_version,
                "GetAlias": function_aliases.get_alias,
                "GetCodeSigningConfig": code_signing.get_code_signing_config,
                "GetFunction": functions.get_function,
                "GetFunctionCodeSigningConfig": code_signing.get_function_code_signing_config,
                "GetFunctionConfiguration": functions.get_function_configuration,
                "GetFunctionUrlConfig": url_configs.get_function_url_config,
                "GetLayerVersion": layers.get_layer_version,
                "GetLayerVersionByArn": layers.get_layer_version_by_arn,
                "GetLayerVersionPolicy": layer_policies.get_layer_version_policy,
                "GetRuntimeManagementConfig": runtime_management.get_runtime_management_config,
                "Invoke": invoke.invoke,
                "InvokeAsync": invoke.invoke_async,
                "InvokeWithResponseStream": invoke_stream.invoke_with_response_stream,
                "ListAliases": function_aliases.list_aliases,
                "ListCodeSigningConfigs": code_signing.list_code_signing_configs,
                "ListFunctionUrlConfigs": url_configs.list_function_url_configs,
                "ListFunctions": functions.list_functions,
                "ListFunctionsByCodeSigningConfig": code_signing.list_functions_by_code_signing_config,
                "ListLayerVersions": layers.list_layer_versions,
                "ListLayers": layers.list_layers,
                "ListVersionsByFunction": versions.list_versions_by_function,
                "PublishLayerVersion": layers.publish_layer_version,
                "PublishVersion": versions.publish_version,
                "PutFunctionCodeSigningConfig": code_signing.put_function_code_signing_config,
                "PutRuntimeManagementConfig": runtime_management.put_runtime_management_config,
                "RemoveLayerVersionPermission": layer_policies.remove_layer_version_permission,
                "UpdateAlias": function_aliases.update_alias,
                "UpdateCodeSigningConfig": code_signing.update_code_signing_config,
                "UpdateFunctionCode": functions.update_function_code,
                "UpdateFunctionConfiguration": functions.update_function_configuration,
                "UpdateFunctionUrlConfig": url_configs.update_function_url_config,
            },
        ),
        Offer(Service("apigateway"), REST_APIS),
        Offer(Service("apigatewayv2", validation_code="BadRequestException"), HTTP_APIS),
        Offer(Service("dynamodb", documents=("AttributeValue",)), TABLES),
        Offer(Service("dynamodbstreams", documents=("AttributeValue",)), TABLE_STREAMS),
        Offer(Service("kinesis"), KINESIS),
        Offer(Service("kinesis", protocol="cbor"), KINESIS),
        Offer(
            Service("logs", validation_code="InvalidParameterException"),
            {
                "CreateLogGroup": logs.create_log_group,
                "DeleteLogGroup": logs.delete_log_group,
                "DescribeLogGroups": logs.describe_log_groups,
                "DescribeLogStreams": logs.describe_log_streams,
                "FilterLogEvents": logs.filter_log_events,
                "GetLogEvents": logs.get_log_events,
            },
        ),
        Offer(
            # routingConfiguration: AWS prints its members as Java objects (states_api.aliases)
            Service("stepfunctions", unchecked=("routingConfiguration",)),
            {
                "CreateActivity": activities.create_activity,
                "CreateStateMachine": machines.create_state_machine,
                "CreateStateMachineAlias": aliases.create_state_machine_alias,
                "DeleteActivity": activities.delete_activity,
                "DeleteStateMachine": machines.delete_state_machine,
                "DeleteStateMachineAlias": aliases.delete_state_machine_alias,
                "DeleteStateMachineVersion": machines.delete_state_machine_version,
                "DescribeActivity": activities.describe_activity,
                "DescribeExecution": executions.describe_execution,
                "DescribeMapRun": map_runs.describe_map_run,
                "DescribeStateMachine": machines.describe_state_machine,
                "DescribeStateMachineAlias": aliases.describe_state_machine_alias,
                "DescribeStateMachineForExecution": executions.describe_state_machine_for_execution,
                "GetActivityTask": task_callbacks.get_activity_task,
                "GetExecutionHistory": history.get_execution_history,
                "ListActivities": activities.list_activities,
                "ListExecutions": executions.list_executions,
                "ListMapRuns": map_runs.list_map_runs,
                "ListStateMachineAliases": aliases.list_state_machine_aliases,
                "ListStateMachines": machines.list_state_machines,
                "ListStateMachineVersions": machines.list_state_machine_versions,
                "ListTagsForResource": tags.list_tags_for_resource,
                "PublishStateMachineVersion": machines.publish_state_machine_version,
                "RedriveExecution": executions.redrive_execution,
                "SendTaskFailure": task_callbacks.send_task_failure,
                "SendTaskHeartbeat": task_callbacks.send_task_heartbeat,
                "SendTaskSuccess": task_callbacks.send_task_success,
                "StartExecution": executions.start_execution,
                "StartSyncExecution": executions.start_sync_execution,
                "StopExecution": executions.stop_execution,
                "TagResource": tags.tag_resource,
                "TestState": test_state.test_state,
                "UntagResource": tags.untag_resource,
                "UpdateMapRun": map_runs.update_map_run,
                "UpdateStateMachine": machines.update_state_machine,
                "UpdateStateMachineAlias": aliases.update_state_machine_alias,
                "ValidateStateMachineDefinition": validation.validate_state_machine_definition,
            },
        ),
        Offer(
            Service("sts", validation_code="ValidationError"),
            {
                "AssumeRole": sts_api.assume_role,
                "GetAccessKeyInfo": sts_api.get_access_key_info,
                "GetCallerIdentity": sts_api.get_caller_identity,
                "GetSessionToken": sts_api.get_session_token,
            },
        ),
    ]
