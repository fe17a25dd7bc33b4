"""VpcConfig: kept and shown; its subnets and groups are looked up with whoever serves EC2, if anybody does.

Functions run on the host's own network whatever it says. Source: Lambda API reference, VpcConfig; messages as recorded
from AWS.
"""

from __future__ import annotations

from typing import Any

from gateway.call import Call
from hearth.aws_clients import AwsCallFailed, ServiceNotServed
from hearth.clock import Deadline
from hearth.errors import InvalidParameterValue

_EC2_S = 10.0
_EMPTY: dict[str, Any] = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}


async def placed(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """VpcConfig as it is answered; VpcId is empty where nobody serves EC2.

    Raises InvalidParameterValue for a subnet or group that isn't there.
    """
    config = _EMPTY | given
    if not config["SubnetIds"]:
        return dict(_EMPTY)
    groups, subnets = config["SecurityGroupIds"], config["SubnetIds"]
    if groups:
        await _described(call, "DescribeSecurityGroups", GroupIds=groups)
    found = await _described(call, "DescribeSubnets", SubnetIds=subnets)
    vpcs = [subnet["VpcId"] for subnet in found.get("Subnets", [])]
    return config | {"VpcId": vpcs[0] if vpcs else ""}


async def _described(call: Call, operation: str, **parameters: Any) -> dict[str, Any]:
    """Empty where nobody serves EC2."""
    caller = call.caller
    try:
        return await call.backends.aws.call(
            "ec2",
            operation,
            account=caller.account,
            region=caller.region,
            deadline=Deadline.after(_EC2_S),
            **parameters,
        )
    except ServiceNotServed:
        return {}
    except AwsCallFailed as exc:
        raise InvalidParameterValue(
            f"Error occurred while {operation}. EC2 Error Code: {exc.code}. EC2 Error Message: {exc.message}"
        ) from exc
