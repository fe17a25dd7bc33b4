"""Whether requests for tables stay here or are passed on."""

from __future__ import annotations

import pytest

from gateway.app import Gateway
from gateway.http import Request
from hearth.settings import Settings

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260102/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture(scope="module")
def gateways() -> tuple[Gateway, Gateway]:
    """That has tables of its own, and that passes them on."""
    return Gateway(Settings(aws_upstream="http://up")), Gateway(Settings(aws_endpoints="dynamodb=http://tables"))


@pytest.mark.parametrize("signed", ["dynamodb", None])
@pytest.mark.parametrize("service", ["dynamodb", "dynamodbstreams"])
def test_tables_and_their_streams_go_together_where_the_settings_say(
    service: str, signed: str | None, gateways: tuple[Gateway, Gateway]
) -> None:
    operation = {"dynamodb": "DynamoDB_20120810.GetItem", "dynamodbstreams": "DynamoDBStreams_20120810.GetRecords"}
    headers = {"host": "127.0.0.1:4566", "x-amz-target": operation[service]}
    request = Request("POST", "/", "", headers | ({"authorization": SIGNED} if signed else {}), b"{}")

    here, elsewhere = gateways
    assert here._elsewhere(signed, request) is None
    assert here._router.find(request)[0] is not None
    assert elsewhere._elsewhere(signed, request) == service
    assert elsewhere._router.find(request)[0] is None
