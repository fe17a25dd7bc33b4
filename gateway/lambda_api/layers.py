"""Layers that lie in the code store, attached by an ARN that names their blob: `...:layer:blob-<sha256>:1`.

`hearth deploy --layer ZIP` puts them there. There are no others yet.
"""

from __future__ import annotations

import dataclasses
import re

from hearth.blobs import BlobStore
from hearth.errors import InvalidParameterValue
from hearth.store.functions import FunctionRecord

_BLOB = re.compile(r"arn:[^:]+:lambda:[^:]+:[^:]+:layer:blob-([0-9a-f]{64}):1")


def attach(record: FunctionRecord, arns: list[str], blobs: BlobStore) -> FunctionRecord:
    """The record with exactly these layers, in their order. Blocking.

    Raises InvalidParameterValue for one that isn't in the store.
    """
    sha256s, shown = [], []
    for arn in arns:
        match = _BLOB.fullmatch(arn)
        path = blobs.path(match[1]) if match else None
        if match is None or path is None or not path.is_file():
            raise InvalidParameterValue(f"Layer version {arn} does not exist.")
        sha256s.append(match[1])
        shown.append({"Arn": arn, "CodeSize": path.stat().st_size})
    configuration = {name: value for name, value in record.configuration.items() if name != "Layers"}
    if shown:
        configuration["Layers"] = shown
    version = dataclasses.replace(record.version, layers=tuple(sha256s))
    return dataclasses.replace(record, version=version, configuration=configuration)
