from __future__ import annotations

import pytest

from gateway.services import offers
from hearth.aws_endpoints import RUN_HERE, TABLES, AwsEndpoints, canonical, unserved
from hearth.limits import Limits
from hearth.settings import Settings


def endpoints(**settings: str) -> AwsEndpoints:
    return AwsEndpoints(Settings.load(**settings))


def test_table_of_own_services_is_what_the_gateway_offers() -> None:
    offered = {offer.service.signing_name for offer in offers(Limits())}
    assert offered | TABLES == RUN_HERE | TABLES
    assert {offer.service.name for offer in offers(Limits())} >= TABLES


def test_tables_are_served_here_unless_another_server_of_them_is_named() -> None:
    own, named = endpoints(aws_upstream="http://up"), endpoints(aws_endpoints="dynamodb=http://tables")
    for service in ("dynamodb", "dynamodbstreams"):
        assert own.of(service, "us-east-1") == "http://127.0.0.1:4566"
        assert named.of(service, "us-east-1") == "http://tables"
        assert own.table()[service] == "hearth"
    assert own.here == RUN_HERE | TABLES
    assert named.here == RUN_HERE


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("lambda", "http://127.0.0.1:4566"),
        ("s3", "http://minio:9000"),
        ("events", "http://a"),
        ("eventbridge", "http://a"),
        ("dynamodbstreams", "http://tables"),
        ("sqs", "https://sqs.eu-west-1.amazonaws.com"),
        ("iam", "https://iam.amazonaws.com"),
        ("kms", "http://up"),
    ],
)
def test_service_goes_to_its_own_endpoint_else_upstream(service: str, expected: str) -> None:
    named = "s3=http://minio:9000/,EventBridge=http://a,dynamodb=http://tables,sqs=aws,iam=aws,lambda=http://ignored"
    assert endpoints(aws_endpoints=named, aws_upstream="http://up").of(service, "eu-west-1") == expected


def test_service_that_nobody_serves_is_told_with_what_would_start_it() -> None:
    assert endpoints().of("sqs", "us-east-1") is None
    assert "hearth up --with sqs" in unserved("sqs")
    assert "HEARTH_AWS_ENDPOINTS=kms=http://HOST:PORT" in unserved("kms")


def test_own_services_are_nowhere_else() -> None:
    assert endpoints().elsewhere("lambda", "us-east-1") is None


def test_one_service_has_several_names() -> None:
    assert canonical("StepFunctions") == canonical("states") == "states"


def test_listener_on_all_addresses_is_reached_on_loopback() -> None:
    assert endpoints(bind="0.0.0.0").of("lambda", "us-east-1") == "http://127.0.0.1:4566"
    assert endpoints(bind="::").of("lambda", "us-east-1") == "http://[::1]:4566"
    assert endpoints(gateway_url="http://gw:4566/").of("lambda", "us-east-1") == "http://gw:4566"
