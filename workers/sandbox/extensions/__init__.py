"""Extensions of a sandbox and their API, version 2020-01-01, on the Runtime API's listener.

Source: Lambda Developer Guide, "Using the Lambda Extensions API"; states and faults as AWS's own sandbox answers them.
"""

from workers.sandbox.extensions.extension import Extension, ExtensionState
from workers.sandbox.extensions.registry import Extensions, external_names

__all__ = ["Extension", "ExtensionState", "Extensions", "external_names"]
