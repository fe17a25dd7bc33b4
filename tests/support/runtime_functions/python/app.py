import json
import os
import pathlib
import time

if "FAIL_INIT" in os.environ:
    raise ValueError("no start")
time.sleep(float(os.environ.get("SLOW_INIT_S", "0")))


class QuotaExceeded(Exception):
    pass


def handler(event, context):
    do = event["do"]
    if do == "raise":
        return event["missing"]
    if do == "custom":
        raise QuotaExceeded("no more")
    if do == "sleep":
        time.sleep(event["seconds"])
    if do == "exit":
        os._exit(event["code"])
    if do == "grow":
        held = []
        while True:
            held.append(bytearray(b"x" * (8 << 20)))
    if do == "context":
        return fields(context)
    if do == "tmp":
        counter = pathlib.Path("/tmp/count")
        count = json.loads(counter.read_text()) + 1 if counter.exists() else 1
        counter.write_text(json.dumps(count))
        return count
    return event


def fields(context):
    return {
        "stage": os.environ["STAGE"],
        "region": os.environ["AWS_REGION"],
        "name": context.function_name,
        "version": context.function_version,
        "memory": int(context.memory_limit_in_mb),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "remaining_ms": context.get_remaining_time_in_millis(),
    }
