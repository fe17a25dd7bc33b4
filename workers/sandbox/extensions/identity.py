"""Who asks: the header that every call but register carries."""

from __future__ import annotations

import uuid

from workers.sandbox.extensions import faults
from workers.sandbox.extensions.extension import Extension
from workers.sandbox.extensions.registry import Extensions
from workers.sandbox.runtime_api.request import EXTENSION_ID, Request


def identified(extensions: Extensions, request: Request, *, unknown: bytes | None = None) -> Extension | bytes:
    """The extension, or the answer that refuses; `unknown`: instead of the usual answer to an unknown one."""
    identifier = request.text(EXTENSION_ID)
    if not identifier:
        return faults.MISSING_IDENTIFIER
    try:
        uuid.UUID(identifier)
    except ValueError:
        return faults.INVALID_IDENTIFIER
    extension = extensions.find(identifier)
    if extension is None:
        return unknown or faults.unknown(identifier)
    return extension
