"""Where the outside reaches a front door. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from hearth.settings import Settings


def api_endpoint(settings: Settings, api_id: str, region: str) -> str:
    """Without a path; `*.localhost` is this machine to browsers and curl without any configuration."""
    scheme, authority = _base(settings)
    return f"{scheme}://{api_id}.execute-api.{region}.{authority}"


def function_url(settings: Settings, url_id: str, region: str) -> str:
    scheme, authority = _base(settings)
    return f"{scheme}://{url_id}.lambda-url.{region}.{authority}/"


def api_host(settings: Settings, api_id: str, region: str) -> str:
    """Host name and port of an API, for requests that came by path."""
    return f"{api_id}.execute-api.{region}.{_base(settings)[1]}"


def url_host(settings: Settings, url_id: str, region: str) -> str:
    return f"{url_id}.lambda-url.{region}.{_base(settings)[1]}"


def _base(settings: Settings) -> tuple[str, str]:
    """Scheme, and domain with port."""
    base = urlsplit(settings.front_door_url or f"http://localhost:{settings.port}")
    return base.scheme, base.netloc
