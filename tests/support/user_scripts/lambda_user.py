"""What somebody does with boto3 and nothing else: every group of the Lambda API's control plane, from deploying to
cleaning away. Needs AWS_ENDPOINT_URL, keys and a region in the environment; argv: a zip with app.handler, which answers
its event. Prints `done` at the end."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path

import boto3

ZIP = Path(sys.argv[1]).read_bytes()
NAME = "boto3-function"
ROLE = "arn:aws:iam::000000000000:role/r"
ARN = f"arn:aws:lambda:us-east-1:000000000000:function:{NAME}"
lambda_ = boto3.client("lambda")
s3, sqs, sts = boto3.client("s3"), boto3.client("sqs"), boto3.client("sts")


def invoke(event: object, **parameters: str) -> object:
    answer = lambda_.invoke(FunctionName=NAME, Payload=json.dumps(event), **parameters)
    assert "FunctionError" not in answer
    return json.loads(answer["Payload"].read() or "null")


# services that others serve, through the same endpoint
s3.create_bucket(Bucket="code")
s3.put_object(Bucket="code", Key="app.zip", Body=ZIP)
queue = sqs.create_queue(QueueName="done")["QueueUrl"]
queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

# functions out of S3, layers, states
layer = lambda_.publish_layer_version(LayerName="boto3-layer", Content={"ZipFile": ZIP})
lambda_.create_function(
    FunctionName=NAME,
    Runtime="python3.11",
    Role=ROLE,
    Handler="app.handler",
    Code={"S3Bucket": "code", "S3Key": "app.zip"},
    Layers=[layer["LayerVersionArn"]],
    Tags={"made": "boto3"},
)
lambda_.get_waiter("function_active_v2").wait(FunctionName=NAME)
assert invoke({"n": 1}) == {"n": 1}

# versions, aliases, updates
version = lambda_.publish_version(FunctionName=NAME)["Version"]
lambda_.create_alias(FunctionName=NAME, Name="live", FunctionVersion=version)
lambda_.update_function_configuration(FunctionName=NAME, Environment={"Variables": {"KEY": "value"}})
lambda_.get_waiter("function_updated_v2").wait(FunctionName=NAME)
assert lambda_.get_alias(FunctionName=NAME, Name="live")["FunctionVersion"] == version == "1"
assert invoke("x", Qualifier="live") == "x"
assert [one["Version"] for one in lambda_.list_versions_by_function(FunctionName=NAME)["Versions"]] == ["$LATEST", "1"]

# concurrency
lambda_.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=10)
assert lambda_.get_function(FunctionName=NAME)["Concurrency"] == {"ReservedConcurrentExecutions": 10}

# asynchronous invocations with a destination
lambda_.put_function_event_invoke_config(
    FunctionName=NAME, MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": {"Destination": queue_arn}}
)
lambda_.invoke(FunctionName=NAME, InvocationType="Event", Payload=b'"later"')
until = time.monotonic() + 60
while not (messages := sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2).get("Messages")):
    assert time.monotonic() < until, "no destination record"
assert json.loads(messages[0]["Body"])["responsePayload"] == "later"

# front doors, and the policy that lets them in
url = lambda_.create_function_url_config(FunctionName=NAME, AuthType="NONE", InvokeMode="BUFFERED")["FunctionUrl"]
for action, condition in (
    ("lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
    ("lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
):
    lambda_.add_permission(
        FunctionName=NAME, StatementId=action.partition(":")[2], Action=action, Principal="*", **condition
    )
host, port = url.split("/")[2].partition(":")[::2]
request = urllib.request.Request(f"http://127.0.0.1:{port}/path?q=1", headers={"Host": f"{host}:{port}"})
assert json.loads(urllib.request.urlopen(request).read())["rawPath"] == "/path"

api = boto3.client("apigatewayv2").create_api(Name="boto3", ProtocolType="HTTP", Target=ARN)
lambda_.add_permission(
    FunctionName=NAME, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
)
path = f"http://127.0.0.1:{port}/_aws/execute-api/{api['ApiId']}/$default/items/1"
assert json.loads(urllib.request.urlopen(path).read())["rawPath"] == "/items/1"

# streamed answers
stream = lambda_.invoke_with_response_stream(FunctionName=NAME, Payload=b'{"n": 2}')["EventStream"]
pieces = [event["PayloadChunk"]["Payload"] for event in stream if "PayloadChunk" in event]
assert json.loads(b"".join(pieces)) == {"n": 2}

# policies, tags, limits
assert len(json.loads(lambda_.get_policy(FunctionName=NAME)["Policy"])["Statement"]) == 3
lambda_.tag_resource(Resource=ARN, Tags={"more": "yes"})
assert lambda_.list_tags(Resource=ARN)["Tags"] == {"made": "boto3", "more": "yes"}
assert lambda_.get_account_settings()["AccountUsage"]["FunctionCount"] >= 1

# identity
keys = sts.assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]
as_role = boto3.client(
    "lambda",
    aws_access_key_id=keys["AccessKeyId"],
    aws_secret_access_key=keys["SecretAccessKey"],
    aws_session_token=keys["SessionToken"],
)
assert as_role.get_function(FunctionName=NAME)["Configuration"]["FunctionArn"] == ARN

lambda_.delete_function(FunctionName=NAME)
lambda_.delete_layer_version(LayerName="boto3-layer", VersionNumber=layer["Version"])
print("done")
