"""Writes down when it got how many records, by the clock that all processes of a host share, and the first's number."""

import base64
import time


def handler(event, context):
    began_ns = time.monotonic_ns()
    records = event["Records"]
    number = base64.b64decode(records[0]["kinesis"]["data"]).split()[0].decode()
    print("GOT", len(records), number, began_ns)
