"""Prebuilt and worded answers of the Extensions API that refuse."""

from __future__ import annotations

from workers.sandbox.extensions.extension import Extension, ExtensionState
from workers.sandbox.runtime_api.replies import fault


def _refused(error_type: str, message: str) -> bytes:
    return fault("403 Forbidden", message, error_type)


EMPTY_NAME = _refused("Extension.InvalidExtensionName", "Empty extension name")
KEYS_DEPRECATED = _refused(
    "InvalidRequestFormat", "configurationKeys are deprecated; use environment variables instead"
)
NO_INTERNAL_SHUTDOWN = _refused("Extension.InvalidEventType", "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension")
CLOSED = _refused("Extension.RegistrationClosed", "Extension registration closed already")
NAME_TAKEN = _refused("Extension.InvalidExtensionState", "Extension with this name already registered")
TOO_MANY = _refused("Extension.TooManyExtensions", "Extension limit (10) reached")
MISSING_IDENTIFIER = _refused("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
INVALID_IDENTIFIER = _refused("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
UNKNOWN_TO_ERRORS = _refused("Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier")
MISSING_ERROR_TYPE = _refused("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")


def bad_format(message: str) -> bytes:
    return _refused("InvalidRequestFormat", message)


def unknown_event(name: str) -> bytes:
    return _refused("Extension.InvalidEventType", f"{name}: ErrorInvalidEventType")


def unknown(identifier: str) -> bytes:
    return _refused("Extension.UnknownExtensionIdentifier", f"Unknown extension {identifier}")


def refused_transition(extension: Extension, wanted: ExtensionState) -> bytes:
    who = extension.id or extension.name
    return _refused(
        "Extension.InvalidExtensionState",
        f"State transition from {extension.state} to {wanted} failed for extension {who}. "
        "Error: State transition is not allowed",
    )
