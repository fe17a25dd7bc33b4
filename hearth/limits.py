"""The limits of AWS Lambda's quota page: AWS's value, ours, the setting that raises or lowers it.

Ours are AWS's unless a setting says otherwise. `TABLE` is what `hearth limits` prints; `Limits` is what the parts
get. Source: Lambda Developer Guide, "Lambda quotas".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hearth.settings import Settings

KB, MB, GB = 2**10, 2**20, 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """With AWS's values. Sizes in bytes unless the name says otherwise."""

    timeout_s: int = 900
    memory_mb: int = 10_240
    ephemeral_mb: int = 10_240
    environment_bytes: int = 4 * KB
    policy_bytes: int = 20 * KB
    layers: int = 5
    zipped_bytes: int = 50 * MB
    unzipped_bytes: int = 250 * MB
    code_storage_bytes: int = 75 * GB
    payload_bytes: int = 6 * MB
    event_bytes: int = 1 * MB
    streamed_bytes: int = 200 * MB
    head_bytes: int = 1 * MB
    open_files: int = 1024
    processes: int = 1024

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            timeout_s=settings.max_timeout_seconds,
            memory_mb=settings.max_memory_mb,
            ephemeral_mb=settings.max_ephemeral_mb,
            environment_bytes=settings.max_environment_bytes,
            policy_bytes=settings.max_policy_bytes,
            layers=settings.max_layers,
            zipped_bytes=settings.max_zipped_bytes,
            unzipped_bytes=settings.max_unzipped_bytes,
            code_storage_bytes=settings.max_code_storage_bytes,
            payload_bytes=settings.max_payload_bytes,
            event_bytes=settings.max_event_bytes,
            streamed_bytes=settings.max_streamed_bytes,
            head_bytes=settings.max_head_bytes,
            open_files=settings.max_open_files,
            processes=settings.max_processes,
        )

    @property
    def request_bytes(self) -> int:
        """Of a whole request: a package in base64 and as much again as AWS leaves for the rest of it."""
        return self.zipped_bytes * 4 // 3 + _REQUEST_REST


AWS_LIMITS = Limits()
#: AWS takes 70,167,211 bytes for a package of 50 MB
_REQUEST_REST = 70_167_211 - 50 * MB * 4 // 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the quota page. setting: a field of Settings; "" where Hearth has nothing to limit (see `note`)."""

    name: str
    aws: str
    setting: str
    unit: str = ""
    note: str = ""


TABLE = (
    Row("concurrent executions of an account", "1000", "account_concurrency"),
    Row("of them kept for functions without a reserve", "100", "unreserved_concurrency"),
    Row("environments a function may start in 10 s", "1000", "scaling_rate"),
    Row("requests a second per environment", "10", "requests_per_sandbox"),
    Row("storage of packages and layers", "75 GB", "max_code_storage_bytes", "bytes"),
    Row("memory of a function", "10240", "max_memory_mb", "MB"),
    Row("timeout of a function", "900", "max_timeout_seconds", "s"),
    Row("environment variables", "4 KB", "max_environment_bytes", "bytes"),
    Row("resource-based policy", "20 KB", "max_policy_bytes", "bytes"),
    Row("layers of a function", "5", "max_layers"),
    Row("payload of a synchronous invocation, each way", "6 MB", "max_payload_bytes", "bytes"),
    Row("payload of an asynchronous invocation", "1 MB", "max_event_bytes", "bytes"),
    Row("streamed response", "200 MB", "max_streamed_bytes", "bytes"),
    Row("request line and headers", "1 MB", "max_head_bytes", "bytes"),
    Row("package, zipped, in the request", "50 MB", "max_zipped_bytes", "bytes"),
    Row("package and layers, unzipped", "250 MB", "max_unzipped_bytes", "bytes"),
    Row("/tmp", "10240", "max_ephemeral_mb", "MB"),
    Row("open files of an environment", "1024", "max_open_files"),
    Row("processes and threads of an environment", "1024", "max_processes"),
    Row("GetFunction requests a second", "100", "api_get_function_rate", note="0: no limit"),
    Row("GetPolicy requests a second", "15", "api_get_policy_rate", note="0: no limit"),
    Row("other control requests a second", "15", "api_control_rate", note="0: no limit"),
    Row("container image", "10 GB", "", note="container images are not run"),
    Row("settings of a container image", "16 KB", "", note="container images are not run"),
    Row("network interfaces per VPC", "500", "", note="functions have no VPC"),
    Row("console editor", "3 MB", "", note="there is no editor"),
    Row("test events of the console", "10", "", note="there is no console"),
)
