"""Tasks that call AWS services and HTTP APIs: real requests to a companion server and to a server of the test's own."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.companion import CompanionServer
from tests.support.stack import PlatformStack

ROLE = "arn:aws:iam::000000000000:role/test"


@pytest.fixture
def states(stack: PlatformStack, companion: CompanionServer) -> Any:
    return stack.client("stepfunctions", inject_host_prefix=False)


def start(states: Any, definition: dict[str, Any]) -> str:
    name = f"m-{uuid.uuid4().hex[:12]}"
    made = states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
    return str(states.start_execution(stateMachineArn=made["stateMachineArn"])["executionArn"])


def ended(states: Any, arn: str, wait_s: float = 60.0) -> dict[str, Any]:
    until = time.monotonic() + wait_s
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < until, states.get_execution_history(executionArn=arn)["events"]
        time.sleep(0.05)
    return dict(found)


def task(resource: str, arguments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments, "End": True}
    return {"StartAt": "T", "QueryLanguage": "JSONata", "States": {"T": state | fields}}


def result(states: Any, resource: str, arguments: dict[str, Any]) -> Any:
    found = ended(states, start(states, task(resource, arguments)))
    assert found["status"] == "SUCCEEDED", found
    return json.loads(found["output"])


def failure(states: Any, resource: str, arguments: dict[str, Any]) -> tuple[str, str]:
    found = ended(states, start(states, task(resource, arguments)))
    assert found["status"] == "FAILED", found
    return found["error"], found["cause"]


def submitted(states: Any, execution: str) -> Any:
    """What starting its job answered, once it has."""
    until = time.monotonic() + 60
    while True:
        events = states.get_execution_history(executionArn=execution)["events"]
        for event in events:
            if event["type"] == "TaskSubmitted":
                return json.loads(event["taskSubmittedEventDetails"]["output"])
        assert time.monotonic() < until, events
        time.sleep(0.05)


def test_any_service_by_its_sdk(states: Any, companion: CompanionServer) -> None:
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    assert result(states, "aws-sdk:s3:createBucket", {"Bucket": bucket})["Location"] == f"/{bucket}"
    result(states, "aws-sdk:s3:putObject", {"Bucket": bucket, "Key": "k", "Body": {"n": [1]}})
    read = result(states, "aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "k"})
    assert (read["Body"], read["ContentLength"]) == ('{"n":[1]}', 9)
    assert read["LastModified"].endswith("Z")

    error, cause = failure(states, "aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "none"})
    assert error == "S3.NoSuchKeyException"
    assert cause.startswith("The specified key does not exist. (Service: S3, Status Code: 404, Request ID: ")
    error, cause = failure(states, "aws-sdk:dynamodb:putItem", {"TableName": "none"})
    assert error == "DynamoDb.DynamoDbException"
    assert "Value null at 'item' failed to satisfy constraint: Member must not be null" in cause
    error, cause = failure(states, "aws-sdk:s3:getObject", {"Bucket": bucket, "Nope": 1})
    assert error == "States.Runtime"
    assert 'The field "Nope" is not supported by Step Functions' in cause
    error, cause = failure(states, "aws-sdk:ec2:describeInstances", {})
    assert error == "Ec2.SdkClientException"
    assert "Nobody serves ec2 here" in cause


def test_platform_itself_by_its_sdk(states: Any) -> None:
    error, cause = failure(states, "aws-sdk:sfn:sendTaskSuccess", {"TaskToken": "nope", "Output": {"a": 1}})
    assert error == "Sfn.InvalidTokenException"
    assert cause.startswith("Invalid Token: 'Invalid token' (Service: Sfn, Status Code: 400, Request ID: ")


def test_optimised_services(states: Any, companion: CompanionServer) -> None:
    sqs, sns = companion.client("sqs"), companion.client("sns")
    queue = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex[:12]}")["TopicArn"]

    sent = result(states, "sqs:sendMessage", {"QueueUrl": queue, "MessageBody": {"a": 1}})
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert (message["Body"], sent["MessageId"]) == ('{"a":1}', message["MessageId"])
    assert sent["SdkHttpMetadata"]["HttpStatusCode"] == 200
    error, cause = failure(states, "sqs:sendMessage", {"QueueUrl": queue, "MessageBody": None})
    assert error == "SQS.AmazonSQSException"
    assert cause.startswith(
        "The request must contain the parameter MessageBody. (Service: AmazonSQS; Status Code: 400; "
    )
    assert "MessageId" in result(states, "sns:publish", {"TopicArn": topic, "Message": {"a": 1}})
    entry = {"Source": "s", "DetailType": "d", "Detail": {"a": 1}}
    assert result(states, "events:putEvents", {"Entries": [entry]})["FailedEntryCount"] == 0

    error, cause = failure(states, "events:putEvents", {"Entries": [entry, {**entry, "Detail": '"text"'}]})
    first, second = json.loads(cause)["Entries"]
    assert (error, list(first), second["ErrorCode"]) == ("EventBridge.FailedEntry", ["EventId"], "MalformedDetail")
    error, cause = failure(states, "sns:publish", {"TopicArn": f"{topic}-none", "Message": "m"})
    assert error == "SNS.NotFoundException"
    assert cause.startswith("Topic does not exist (Service: AmazonSNS; Status Code: 404; Error Code: NotFound; ")
    error, cause = failure(states, "dynamodb:getItem", {"TableName": "none", "Key": {"id": {"S": "1"}}})
    assert error == "DynamoDB.ResourceNotFoundException"
    assert "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ResourceNotFoundException; " in cause


def query() -> dict[str, Any]:
    return {"QueryString": "SELECT 1", "ResultConfiguration": {"OutputLocation": "s3://none/"}}


def test_jobs_are_waited_for(states: Any, companion: CompanionServer) -> None:
    output = result(states, "athena:startQueryExecution.sync", query())
    assert output["QueryExecution"]["Status"]["State"] == "SUCCEEDED"
    error, cause = failure(states, "athena:startQueryExecution.sync", query() | {"WorkGroup": "none"})
    assert error.startswith("Athena.")
    assert cause


def test_job_that_is_stopped_fails_its_task_and_one_that_nobody_waits_for_is_stopped(
    states: Any, companion: CompanionServer
) -> None:
    athena = companion.client("athena")

    def query_of(execution: str) -> str:
        return str(submitted(states, execution)["QueryExecutionId"])

    def state_of(query: str) -> str:
        return str(athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"])

    with companion.slow("athena::execution"):
        first = start(states, task("athena:startQueryExecution.sync", query()))
        athena.stop_query_execution(QueryExecutionId=query_of(first))
        found = ended(states, first)
        assert (found["status"], found["error"]) == ("FAILED", "States.TaskFailed")
        assert json.loads(found["cause"])["Status"]["State"] == "CANCELLED"

        second = start(states, task("athena:startQueryExecution.sync", query()))
        unwanted = query_of(second)
        assert state_of(unwanted) == "QUEUED"
        states.stop_execution(executionArn=second)
        assert ended(states, second)["status"] == "ABORTED"
        until = time.monotonic() + 60
        while state_of(unwanted) != "CANCELLED":
            assert time.monotonic() < until
            time.sleep(0.05)


def chain(*steps: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """A machine of tasks, one after the other. Each is a name, a resource and arguments; its result is the variable of
    its name, and at the end all are the output."""
    states = {}
    for (name, resource, arguments), following in zip(steps, [*steps[1:], None], strict=True):
        states[name] = task(resource, arguments, Assign={name: "{% $states.result %}"})["States"]["T"]
        if following:
            del states[name]["End"]
            states[name]["Next"] = following[0]
    *known, last = (name for name, _, _ in steps)
    states[last]["Output"] = {**{name: f"{{% ${name} %}}" for name in known}, last: "{% $states.result %}"}
    return {"StartAt": steps[0][0], "QueryLanguage": "JSONata", "States": states}


def test_clusters_of_emr_and_their_steps_in_step_functions_words(states: Any, companion: CompanionServer) -> None:
    instances = {"KeepJobFlowAliveWhenNoSteps": True, "MasterInstanceType": "m5.large", "InstanceCount": 1}
    cluster = {"ClusterId": "{% $made.ClusterId %}"}
    step = {"Name": "s", "HadoopJarStep": {"Jar": "s3://b/j.jar"}}
    machine = chain(
        ("made", "elasticmapreduce:createCluster.sync", {"Name": "c", "Instances": instances}),
        ("added", "elasticmapreduce:addStep", cluster | {"Step": step}),
        ("unprotected", "elasticmapreduce:setClusterTerminationProtection", cluster | {"TerminationProtected": False}),
        ("ended", "elasticmapreduce:terminateCluster.sync", cluster),
    )
    found = ended(states, start(states, machine))
    assert found["status"] == "SUCCEEDED", found
    output = json.loads(found["output"])
    made = output["made"]["ClusterId"]
    assert (output["made"]["Cluster"]["Id"], output["made"]["Cluster"]["Status"]["State"]) == (made, "WAITING")
    steps = companion.client("emr").list_steps(ClusterId=made)["Steps"]
    assert [known["Id"] for known in steps] == [output["added"]["StepId"]]
    assert (output["unprotected"], output["ended"]["Cluster"]["Status"]["State"]) == ({}, "TERMINATED")

    waiting = start(states, task("elasticmapreduce:addStep.sync", {"ClusterId": made, "Step": step}))
    assert submitted(states, waiting)["StepId"].startswith("s-")
    states.stop_execution(executionArn=waiting)
    error, cause = failure(states, "elasticmapreduce:createCluster", {"Name": "c", "Instances": {}, "Steps": []})
    assert (error, 'The field "Steps" is not supported' in cause) == ("States.Runtime", True)


def test_jobs_of_emr_on_eks_and_applications_of_emr_serverless(states: Any, companion: CompanionServer) -> None:
    containers = companion.client("emr-containers")
    where = {"Id": "eks", "Type": "EKS", "Info": {"EksInfo": {"Namespace": f"n{uuid.uuid4().hex[:8]}"}}}
    made = result(states, "emr-containers:createVirtualCluster", {"Name": "v", "ContainerProvider": where})
    run = {"Name": "j", "VirtualClusterId": made["Id"], "ExecutionRoleArn": ROLE, "ReleaseLabel": "emr-6.3.0-latest",
           "JobDriver": {"SparkSubmitJobDriver": {"EntryPoint": "s3://b/p.py"}}}  # fmt: skip
    first = start(states, task("emr-containers:startJobRun.sync", run))
    containers.cancel_job_run(id=submitted(states, first)["Id"], virtualClusterId=made["Id"])
    failed = ended(states, first)
    assert (failed["error"], json.loads(failed["cause"])["State"]) == ("States.TaskFailed", "CANCELLED")
    assert result(states, "emr-containers:deleteVirtualCluster.sync", {"Id": made["Id"]})["State"] == "TERMINATED"

    named = {"ApplicationId": "{% $made.ApplicationId %}"}
    machine = chain(
        ("made", "emr-serverless:createApplication.sync", {"Name": "a", "ReleaseLabel": "emr-6.6.0", "Type": "SPARK"}),
        ("run", "emr-serverless:startJobRun.sync", named | {"ExecutionRoleArn": ROLE}),
        ("stopped", "emr-serverless:stopApplication.sync", named),
        ("started", "emr-serverless:startApplication.sync", named),
        ("stopping", "emr-serverless:stopApplication", named),
        ("gone", "emr-serverless:deleteApplication.sync", named),
    )
    found = ended(states, start(states, machine))
    assert found["status"] == "SUCCEEDED", found
    output = json.loads(found["output"])
    assert [output[name]["State"] for name in ("run", "stopped", "started", "gone")] == [
        "SUCCESS", "STOPPED", "STARTED", "TERMINATED",
    ]  # fmt: skip


def test_clusters_of_eks_are_waited_for_until_they_are_there_and_until_they_are_gone(
    states: Any, companion: CompanionServer
) -> None:
    name, role = f"k-{uuid.uuid4().hex[:8]}", "arn:aws:iam::000000000000:role/eks"
    asked = {"Name": name, "RoleArn": role, "ResourcesVpcConfig": {"SubnetIds": ["subnet-1", "subnet-2"]}}
    machine = chain(("made", "eks:createCluster.sync", asked), ("gone", "eks:deleteCluster.sync", {"Name": name}))
    found = ended(states, start(states, machine))
    assert found["status"] == "SUCCEEDED", found
    made = json.loads(found["output"])["made"]["Cluster"]
    assert (made["Name"], made["Status"]) == (name, "ACTIVE")
    assert name not in companion.client("eks").list_clusters()["clusters"]


def test_model_that_is_not_customised_to_the_end_fails_its_task(states: Any, companion: CompanionServer) -> None:
    job = {
        "JobName": f"j-{uuid.uuid4().hex[:8]}", "CustomModelName": f"m-{uuid.uuid4().hex[:8]}", "RoleArn": ROLE,
        "BaseModelIdentifier": "amazon.titan", "TrainingDataConfig": {"S3Uri": "s3://b/in"},
        "OutputDataConfig": {"S3Uri": "s3://b/out"}, "HyperParameters": {"epochCount": "1"},
    }  # fmt: skip
    execution = start(states, task("bedrock:createModelCustomizationJob.sync", job))
    arn = submitted(states, execution)["JobArn"]
    companion.client("bedrock").stop_model_customization_job(jobIdentifier=job["JobName"])
    found = ended(states, execution)
    assert (found["error"], json.loads(found["cause"])["JobArn"]) == ("States.TaskFailed", arn)


def test_job_that_cannot_be_waited_for_here_says_what_else_there_is(states: Any) -> None:
    error, cause = failure(states, "databrew:startJobRun.sync", {"Name": "j"})
    assert error == "States.Runtime"
    assert cause.endswith("start the job with aws-sdk:databrew:startJobRun and look for its end.")
    error, cause = failure(states, "eks:call", {"ClusterName": "c"})
    assert (error, cause) == ("States.Runtime", "eks:call is not available here.")


def test_message_carries_a_token_that_ends_its_task(states: Any, companion: CompanionServer) -> None:
    sqs = companion.client("sqs")
    queue = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    body = {"token": "{% $states.context.Task.Token %}"}
    arn = start(states, task("sqs:sendMessage.waitForTaskToken", {"QueueUrl": queue, "MessageBody": body}))
    messages: list[dict[str, Any]] = []
    until = time.monotonic() + 60
    while not messages and time.monotonic() < until:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
    states.send_task_success(taskToken=json.loads(messages[0]["Body"])["token"], output='{"approved": true}')
    found = ended(states, arn)
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"approved": True})


class Api(BaseHTTPRequestHandler):
    """Answers with what it was asked; /status/N with N; /token gives an access token to those who have the secret."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status, shown = 200, {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}
        if self.path.startswith("/status/"):
            status = int(self.path.partition("?")[0].rpartition("/")[2])
        if self.path == "/token":
            shown = {"access_token": "given" if "client_secret=hidden" in body else "refused"}
        data = json.dumps(shown).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def connection(companion: CompanionServer, kind: str, parameters: dict[str, Any]) -> dict[str, str]:
    made = companion.client("events").create_connection(
        Name=f"c-{uuid.uuid4().hex[:12]}", AuthorizationType=kind, AuthParameters=parameters
    )
    return {"ConnectionArn": made["ConnectionArn"]}


def test_http_api_with_a_key(states: Any, companion: CompanionServer, api: str) -> None:
    parameters = {
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k1"},
        "InvocationHttpParameters": {"QueryStringParameters": [{"Key": "v", "Value": "2", "IsValueSecret": False}]},
    }
    arguments = {
        "ApiEndpoint": f"{api}/orders",
        "Method": "POST",
        "InvocationConfig": connection(companion, "API_KEY", parameters),
        "Headers": {"X-Own": "h"},
        "QueryParameters": {"a": ["1", "2"]},
        "RequestBody": {"n": 1},
    }
    answer = result(states, "http:invoke", arguments)
    seen = answer["ResponseBody"]
    assert (answer["StatusCode"], answer["StatusText"]) == (200, "OK")
    assert answer["Headers"]["Content-Type"] == ["application/json"]
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/orders?a=1&a=2&v=2", '{"n":1}')
    assert (seen["headers"]["X-Key"], seen["headers"]["X-Own"]) == ("k1", "h")

    encoded = arguments | {
        "RequestBody": {"list": [1, 2], "o": {"k": "v"}},
        "Transform": {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": {"ArrayFormat": "REPEAT"}},
    }
    seen = result(states, "http:invoke", encoded)["ResponseBody"]
    assert seen["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert seen["body"] == "list=1&list=2&o%5Bk%5D=v"

    error, cause = failure(states, "http:invoke", arguments | {"ApiEndpoint": f"{api}/status/404"})
    assert (error, json.loads(cause)["path"]) == ("States.Http.StatusCode.404", "/status/404?a=1&a=2&v=2")
    error, cause = failure(states, "http:invoke", arguments | {"Headers": {"Host": "evil"}})
    assert error == "States.Runtime"
    error, cause = failure(states, "http:invoke", arguments | {"ApiEndpoint": "http://169.254.169.254/latest"})
    assert (error, "link-local" in cause) == ("States.Http.Socket", True)


def test_what_an_http_task_sends_is_seen_by_trying_it(states: Any, companion: CompanionServer, api: str) -> None:
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "hidden"}}
    arguments = {"ApiEndpoint": f"{api}/o", "Method": "GET", "InvocationConfig": connection(companion, "API_KEY", key)}
    state = task("http:invoke", arguments)["States"]["T"] | {"QueryLanguage": "JSONata"}

    def tried(**more: Any) -> dict[str, Any]:
        answer = states.test_state(definition=json.dumps(state), roleArn=ROLE, inspectionLevel="TRACE", **more)
        assert answer["status"] == "SUCCEEDED"
        return dict(answer["inspectionData"])

    seen = tried()
    assert (seen["request"]["method"], seen["request"]["url"]) == ("GET", f"{api}/o")
    assert (seen["response"]["statusCode"], seen["response"]["statusMessage"]) == ("200", "OK")
    assert "hidden" not in seen["request"]["headers"]
    assert "X-Key: hidden" in tried(revealSecrets=True)["request"]["headers"]


def test_http_api_with_an_access_token(states: Any, companion: CompanionServer, api: str) -> None:
    oauth = {
        "ClientParameters": {"ClientID": "id", "ClientSecret": "hidden"},
        "AuthorizationEndpoint": f"{api}/token",
        "HttpMethod": "POST",
    }
    used = connection(companion, "OAUTH_CLIENT_CREDENTIALS", {"OAuthParameters": oauth})
    arguments = {"ApiEndpoint": f"{api}/me", "Method": "GET", "InvocationConfig": used}
    answer = result(states, "http:invoke", arguments)
    assert answer["ResponseBody"]["headers"]["Authorization"] == "Bearer given"


def test_map_over_files_in_s3_with_its_results_there(states: Any, companion: CompanionServer) -> None:
    s3, bucket = companion.client("s3"), f"b-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="in/rows.csv", Body=b"n,name\n1,a\n2,b\n3,c\n")
    choice = {"Variable": "$.n", "StringEquals": "2", "Next": "Bad"}
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "C",
        "States": {
            "C": {"Type": "Choice", "Choices": [choice], "Default": "Good"},
            "Good": {"Type": "Pass", "OutputPath": "$.name", "End": True},
            "Bad": {"Type": "Fail", "Error": "Two", "Cause": "is bad"},
        },
    }
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
        "Parameters": {"Bucket": bucket, "Key": "in/rows.csv"},
    }
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "out"}}
    state = {"Type": "Map", "ItemReader": reader, "ItemProcessor": processor, "End": True}

    def mapped(**fields: Any) -> dict[str, Any]:
        return ended(states, start(states, {"StartAt": "M", "States": {"M": state | fields}}))

    tolerant = mapped(ToleratedFailureCount=1)
    assert json.loads(tolerant["output"]) == ["a", "c"]
    failed = mapped()
    assert failed["error"] == "States.ExceedToleratedFailureThreshold"

    written = json.loads(mapped(ToleratedFailureCount=1, ResultWriter=writer)["output"])["ResultWriterDetails"]
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=written["Key"])["Body"].read())
    files = {name: json.loads(s3.get_object(Bucket=bucket, Key=kept[0]["Key"])["Body"].read())
             for name, kept in manifest["ResultFiles"].items() if kept}  # fmt: skip
    assert [child["Output"] for child in files["SUCCEEDED"]] == ['"a"', '"c"']
    assert [(child["Error"], json.loads(child["Input"])["n"]) for child in files["FAILED"]] == [("Two", "2")]

    listing = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": bucket, "Prefix": "in/"}}
    selector = {"key.$": "$$.Map.Item.Value.Key"}
    listed = mapped(ItemReader=listing, ItemSelector=selector, ItemProcessor={
        **processor, "StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})  # fmt: skip
    assert json.loads(listed["output"]) == [{"key": "in/rows.csv"}]
    missing = mapped(ItemReader={**reader, "Parameters": {"Bucket": bucket, "Key": "none"}})
    assert (missing["error"], missing["cause"]) == ("States.ItemReaderFailed", "The specified key does not exist.")
