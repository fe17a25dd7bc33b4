"""Which function carries out which operation of API Gateway V2."""

from __future__ import annotations

from gateway.apigatewayv2_api import apis, deployments, openapi, stages
from gateway.apigatewayv2_api.authorizers import AUTHORIZERS
from gateway.apigatewayv2_api.integrations import INTEGRATIONS
from gateway.apigatewayv2_api.routes import ROUTES
from gateway.call import Operation

OPERATIONS: dict[str, Operation] = {
    "CreateApi": apis.create_api,
    "CreateDeployment": deployments.create_deployment,
    "CreateStage": stages.create_stage,
    "DeleteAccessLogSettings": stages.delete_access_log_settings,
    "DeleteApi": apis.delete_api,
    "DeleteCorsConfiguration": apis.delete_cors_configuration,
    "DeleteDeployment": deployments.delete_deployment,
    "DeleteRouteSettings": stages.delete_route_settings,
    "DeleteStage": stages.delete_stage,
    "GetApi": apis.get_api,
    "GetApis": apis.get_apis,
    "GetDeployment": deployments.get_deployment,
    "GetDeployments": deployments.get_deployments,
    "GetStage": stages.get_stage,
    "GetStages": stages.get_stages,
    "GetTags": stages.get_tags,
    "ImportApi": openapi.import_api,
    "ReimportApi": openapi.reimport_api,
    "ResetAuthorizersCache": stages.reset_authorizers_cache,
    "TagResource": stages.tag_resource,
    "UntagResource": stages.untag_resource,
    "UpdateApi": apis.update_api,
    "UpdateDeployment": deployments.update_deployment,
    "UpdateStage": stages.update_stage,
}
for part in (ROUTES, INTEGRATIONS, AUTHORIZERS):
    OPERATIONS |= {
        f"Create{part.name}": part.create,
        f"Delete{part.name}": part.delete,
        f"Get{part.name}": part.get,
        f"Get{part.name}s": part.list,
        f"Update{part.name}": part.update,
    }
