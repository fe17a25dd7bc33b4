"""Which AWS service a request is meant for, as far as it says so itself. Pure.

Signed requests name it in their scope. Of the others some name it in X-Amz-Target, in the host, in a form's Version, or
in the form of their path; what is read of the rest can only be S3's, whose public objects lie at any path.
"""

from __future__ import annotations

import re

from gateway.http import Request, split_query
from hearth.aws_endpoints import canonical

_SCOPE_END = "/aws4_request"
#: X-Amz-Target's prefix of services whose requests may come unsigned or whose scope is another's
_TARGETS = {
    "AWSEvents": "events",
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "DynamoDB_20120810": "dynamodb",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}
#: Version of Query services' forms
_VERSIONS = {
    "2010-03-31": "sns",
    "2010-05-08": "iam",
    "2010-08-01": "monitoring",
    "2010-12-01": "email",
    "2012-11-05": "sqs",
}
#: `sqs.us-east-1.localhost`, `bucket.s3.localhost`, `s3.us-east-1.amazonaws.com`
_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?(?P<service>s3|sqs|sns|dynamodb|events|ssm|secretsmanager)(?:[.-].*)?")
_QUEUE = re.compile(r"/(?:queue/[^/]+/)?\d{12}/[A-Za-z0-9_.-]{1,80}/?")


def signed_service(request: Request) -> str | None:
    """The service of the signature's scope; None: not signed with Signature Version 4."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        end = authorization.find(_SCOPE_END)
        return authorization[:end].rpartition("/")[2] if end > 0 else None
    if "X-Amz-Credential=" in request.query:
        parts = request.parameters["X-Amz-Credential"][0].split("/")
        return parts[-2] if len(parts) > 2 else None
    return None


def service_of(request: Request) -> str | None:
    """Canonical name (`hearth.aws_endpoints`) of the service; None: the request does not say."""
    target = request.headers.get("x-amz-target")
    named = _TARGETS.get(target.partition(".")[0]) if target else None
    signed = signed_service(request)
    if signed is not None:
        return named if named == "dynamodbstreams" else canonical(signed)
    if named is not None:
        return named
    if match := _HOST.fullmatch(request.headers.get("host", "").partition(":")[0]):
        return match["service"]
    if request.path == "/":
        text = request.body.decode("utf-8", "replace") if request.body else request.query
        version = split_query(text).get("Version", [""])[0] if "Action=" in text else ""
        return _VERSIONS.get(version)
    if _QUEUE.fullmatch(request.path):
        return "sqs"
    public = request.method in ("GET", "HEAD") and request.path.strip("/") != ""
    return "s3" if public or "AWSAccessKeyId=" in request.query else None


def bucket_of_host(request: Request) -> str | None:
    """The bucket that an S3 request names in its host rather than in its path."""
    host = request.headers.get("host", "").partition(":")[0]
    match = _HOST.fullmatch(host)
    if match is not None and match["service"] == "s3":
        return match["bucket"]
    return host.removesuffix(".localhost") if host.endswith(".localhost") else None


def action_of(service: str, request: Request) -> str:
    """What policies call it: the operation where the request names one, else the service's method."""
    if target := request.headers.get("x-amz-target"):
        return f"{service}:{target.rpartition('.')[2]}"
    if service == "s3":
        return f"s3:{_s3_action(request)}"
    text = request.body.decode("utf-8", "replace") if b"Action=" in request.body else request.query
    if action := split_query(text).get("Action"):
        return f"{service}:{action[0]}"
    return f"{service}:{request.method}"


def resource_of(service: str, request: Request) -> str:
    """The ARN that policies speak of: of S3 the bucket or object, of other services `*`."""
    if service != "s3":
        return "*"
    bucket = bucket_of_host(request)
    return "arn:aws:s3:::" + (f"{bucket}{request.path}" if bucket else request.path.lstrip("/")).rstrip("/")


def _s3_action(request: Request) -> str:
    bucket = bucket_of_host(request)
    of_object = len(request.path.strip("/").split("/", 1)) > 1 if bucket is None else request.path != "/"
    if of_object:
        return {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}.get(request.method, "PutObject")
    if request.path == "/" and bucket is None:
        return "ListAllMyBuckets"
    listing = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
    return listing.get(request.method, "PutObject")
