"""The Runtime API, version 2018-06-01: one endpoint per sandbox, on the listener inside its network namespace.

Source: Lambda Developer Guide, "Using the Lambda runtime API"; states and faults as AWS's own sandbox answers them.
"""

from workers.sandbox.runtime_api.api import Answer, Ending, InitError, RuntimeApi, RuntimeEvents, Sink
from workers.sandbox.runtime_api.server import serve

__all__ = ["Answer", "Ending", "InitError", "RuntimeApi", "RuntimeEvents", "Sink", "serve"]
