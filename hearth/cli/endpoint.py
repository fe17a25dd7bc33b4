"""Which gateway a command talks to, with which key, and how to write that down for other tools."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hearth.cli.health import endpoint_at
from hearth.embedded import stackfile
from hearth.settings import Settings


@dataclass(frozen=True, slots=True)
class Access:
    """`key` is None where the environment or the AWS configuration files have to give one."""

    endpoint: str
    region: str
    key: str | None
    secret: str | None


def endpoint_of(settings: Settings) -> str:
    """Where a gateway with these settings is reached from this host."""
    return endpoint_at(settings.bind, settings.port)


def access(settings: Settings) -> Access:
    """AWS_ENDPOINT_URL, then HEARTH_PORT, then what runs on this data folder, then the default."""
    named = os.environ.get("AWS_ENDPOINT_URL_LAMBDA") or os.environ.get("AWS_ENDPOINT_URL")
    running = stackfile.live(settings.data)
    if named:
        endpoint = named
    elif running and running.endpoint and ("port" not in settings.model_fields_set or settings.port == 0):
        endpoint = running.endpoint
    else:
        endpoint = endpoint_of(settings)
    key, secret = own_key(settings)
    if named and os.environ.get("AWS_ACCESS_KEY_ID"):
        key = secret = None
    return Access(endpoint, os.environ.get("AWS_REGION") or settings.region, key, secret)


def own_key(settings: Settings) -> tuple[str | None, str | None]:
    """The development key where it is accepted, else the first of HEARTH_ACCESS_KEYS."""
    if settings.development_key and settings.loopback:
        return "test", "test"
    first = (settings.access_keys or "").split(",")[0].split(":")
    return (first[0].strip(), first[1].strip()) if len(first) >= 2 else (None, None)


def exports(found: Access) -> dict[str, str]:
    """The environment that points AWS's tools at this gateway."""
    variables = {"AWS_ENDPOINT_URL": found.endpoint, "AWS_REGION": found.region, "AWS_DEFAULT_REGION": found.region}
    # a few operations go to `sync-HOST` and the like, names that are not there
    variables["AWS_DISABLE_HOST_PREFIX_INJECTION"] = "true"
    if found.key and found.secret:
        variables |= {"AWS_ACCESS_KEY_ID": found.key, "AWS_SECRET_ACCESS_KEY": found.secret}
    return variables
