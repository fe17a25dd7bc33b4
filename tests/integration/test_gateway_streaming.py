"""InvokeWithResponseStream with boto3: pieces while the function runs, its end in the last event."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.functions import ECHO, zip_of
from tests.support.stack import PlatformStack

#: through AWS's own Node.js client; the event says what to write
STREAMER = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType("text/plain");
  for (const piece of event.pieces || []) {
    stream.write(piece);
    await new Promise((resolve) => setTimeout(resolve, event.pause || 0));
  }
  if (event.fail) throw new Error("half way");
  const block = Buffer.alloc(1 << 20, "x");
  for (let mb = 0; mb < (event.mb || 0); mb++) {
    if (!stream.write(block)) await new Promise((resolve) => stream.once("drain", resolve));
  }
  stream.end();
});
"""


@pytest.fixture(scope="module")
def streamer(stack: PlatformStack) -> str:
    return stack.deploy(None, zip_of(None, index__js=STREAMER), Runtime="nodejs20.x", Handler="index.handler")


def events_of(stack: PlatformStack, name: str, event: Any, **parameters: Any) -> list[dict[str, Any]]:
    answer = stack.client("lambda").invoke_with_response_stream(
        FunctionName=name, Payload=json.dumps(event), **parameters
    )
    assert answer["ExecutedVersion"] == "$LATEST"
    return list(answer["EventStream"])


def test_pieces_come_one_by_one_and_completion_last(stack: PlatformStack, streamer: str) -> None:
    *chunks, complete = events_of(stack, streamer, {"pieces": ["one", "two", "three"], "pause": 100})

    assert [chunk["PayloadChunk"]["Payload"] for chunk in chunks] == [b"one", b"two", b"three"]
    assert complete == {"InvokeComplete": {}}


def test_error_half_way_is_told_by_the_last_event(stack: PlatformStack, streamer: str) -> None:
    chunk, complete = events_of(stack, streamer, {"pieces": ["one"], "fail": True, "pause": 50}, LogType="Tail")
    told = complete["InvokeComplete"]

    assert chunk["PayloadChunk"]["Payload"] == b"one"
    assert told["ErrorCode"] == "Unhandled"
    assert json.loads(told["ErrorDetails"])["errorMessage"] == "half way"
    assert b"REPORT RequestId" in base64.b64decode(told["LogResult"])


def test_function_that_does_not_stream_gives_one_chunk(stack: PlatformStack) -> None:
    chunk, complete = events_of(stack, stack.deploy(None, ECHO), {"a": 1})

    assert json.loads(chunk["PayloadChunk"]["Payload"]) == {"a": 1}
    assert complete == {"InvokeComplete": {}}


def test_what_fails_before_the_stream_is_an_ordinary_error(stack: PlatformStack, streamer: str) -> None:
    with pytest.raises(ClientError) as caught:
        stack.client("lambda").invoke_with_response_stream(FunctionName="no-such-function", Payload=b"{}")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"

    with pytest.raises(ClientError) as caught:
        stack.client("lambda").invoke_with_response_stream(FunctionName=streamer, Payload=b"{not json")
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"

    answer = stack.client("lambda").invoke_with_response_stream(FunctionName=streamer, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
