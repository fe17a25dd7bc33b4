"""Extensions as people write them, for layers of tests: a telemetry subscriber, a shell script, misbehaving ones.

What they learn they print, and the test reads it in the function's log.
"""

from __future__ import annotations

#: keeps everything it is told: `EVENT <json>` for Next, `TELEMETRY <json>` for each telemetry event
SUBSCRIBER = r"""#!/usr/bin/env python3.11
import http.server, json, os, sys, threading, time, urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
NAME = os.path.basename(__file__)
CONFIGURATION = {configuration}

class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["content-length"]))):
            print("TELEMETRY", json.dumps(event), flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass

def call(method, path, body=None, **headers):
    headers = {{"Lambda-Extension-" + name: value for name, value in headers.items()}}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(API + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, json.loads(answer.read() or "null")

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Listener)
threading.Thread(target=server.serve_forever, daemon=True).start()
headers, facts = call("POST", "/2020-01-01/extension/register", {{"events": CONFIGURATION["events"]}}, Name=NAME)
identity = headers["Lambda-Extension-Identifier"]
print("FACTS", json.dumps(facts), flush=True)
call("PUT", "/2022-07-01/telemetry", {{
    "schemaVersion": "2022-07-01", "types": CONFIGURATION["types"],
    "destination": {{"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/events"}},
    "buffering": {{"timeoutMs": 25, "maxItems": 1000, "maxBytes": 262144}},
}}, Identifier=identity)
while True:
    _, event = call("GET", "/2020-01-01/extension/event/next", Identifier=identity)
    print("EVENT", json.dumps(event), flush=True)
    if event["eventType"] == "SHUTDOWN":
        time.sleep(CONFIGURATION["shutdown_s"])
        sys.exit(0)
    time.sleep(CONFIGURATION["work_s"])
"""


def subscriber(
    *,
    types: tuple[str, ...] = ("platform", "function"),
    events: tuple[str, ...] = ("INVOKE", "SHUTDOWN"),
    work_s: float = 0.0,
    shutdown_s: float = 0.1,
) -> str:
    """work_s: what it does with each invocation after its event; shutdown_s: how long it takes to end."""
    configuration = {"types": list(types), "events": list(events), "work_s": work_s, "shutdown_s": shutdown_s}
    return SUBSCRIBER.format(configuration=configuration)


#: nothing but sh and curl
SHELL = r"""#!/bin/sh
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
curl -sS -D /tmp/head -o /tmp/facts -X POST -H "Lambda-Extension-Name: $(basename "$0")" \
  -d '{"events": ["INVOKE", "SHUTDOWN"]}' "$api/register"
id=$(sed -n 's/^Lambda-Extension-Identifier: *\([0-9a-f-]*\).*/\1/p' /tmp/head)
while true; do
  curl -sS -o /tmp/event -H "Lambda-Extension-Identifier: $id" "$api/event/next"
  echo "EVENT $(cat /tmp/event)"
  if grep -q '"SHUTDOWN"' /tmp/event; then exit 0; fi
done
"""

#: registers and then waits for events without an end to it
_BASIC = r"""#!/usr/bin/env python3.11
import json, os, signal, sys, time, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
def call(method, path, body=None, **headers):
    headers = {{"Lambda-Extension-" + name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(API + path, body, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, json.loads(answer.read())
def register(*events):
    body = json.dumps({{"events": events}}).encode()
    headers, _ = call("POST", "register", body, Name=os.path.basename(__file__))
    return headers["Lambda-Extension-Identifier"]
def next_event(identity):
    return call("GET", "event/next", Identifier=identity)[1]
{body}
"""


def basic(body: str) -> str:
    """A Python extension with register(*events) -> id and next_event(id) -> event."""
    return _BASIC.format(body=body)
