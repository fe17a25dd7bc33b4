"""Every setting, typed, with its meaning. Read once from HEARTH_* and an optional settings file.

Only `hearth.cli` calls `Settings.load`; the parts receive the object. The names of the first block are fixed:
tools rely on them. Children of a process inherit its settings through `Settings.to_environ`.

A value may take parts of itself from files, so that secrets stand in no environment and no command line:
`amqp://hearth:${file:/run/secrets/password}@host/hearth`.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hearth.written_settings import DEFAULT_BIND, DEFAULT_PORT, PREFIX, with_files

__all__ = ["OWN_BROKER", "PREFIX", "BadSettings", "Settings"]

#: of HEARTH_MQ_BROKERS: the platform's RabbitMQ
OWN_BROKER = "own"


class BadSettings(Exception):
    """Unknown names and bad values, all of them together; the text says what to mend."""


def _default_data() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "hearth"


class Settings(BaseSettings):
    """Units are in the names. `settings_file` (HEARTH_SETTINGS_FILE, TOML, lower-case names without prefix) is
    overridden by the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    # --- names that tools rely on ---------------------------------------------------------------------------
    port: int = Field(DEFAULT_PORT, description="port of the API", ge=0, le=65535)
    bind: str = Field(DEFAULT_BIND, description="address the API listens on")
    data: Path = Field(default_factory=_default_data, description="embedded servers' data, code blobs, logs")
    broker_url: str | None = Field(
        None,
        description="amqp:// URL of a RabbitMQ to use instead of the embedded one; of a cluster: all nodes' URLs, a,b",
    )
    state_url: str | None = Field(None, description="redis:// URL of the durable server (functions, executions)")
    coordination_url: str | None = Field(None, description="redis:// URL of the server that may be lost (leases)")
    code_url: str | None = Field(None, description="directory of code blobs, logs and bills (default: DATA/blobs)")
    gateway_url: str | None = Field(
        None, description="for workers on other hosts: the gateway, which gives them code and takes their logs"
    )
    aws_upstream: str | None = Field(
        None, description="endpoint of every AWS service that Hearth does not run; `aws`: AWS itself"
    )
    aws_endpoints: str | None = Field(None, description="the same by service: s3=http://...,sqs=aws")
    mq_brokers: str | None = Field(
        None,
        description="where Amazon MQ brokers of event source mappings are: ARN=amqp://HOST:5672,...; ARN may be * for "
        "all others; `own` instead of a URL: the platform's RabbitMQ, but never its own virtual host",
    )
    front_door_url: str | None = Field(
        None,
        description="where the outside reaches the gateway: function URLs and APIs are host names below it "
        "(default: http://localhost:PORT)",
    )
    function_endpoint_url: str | None = Field(
        None, description="AWS_ENDPOINT_URL inside functions (default: Hearth itself)"
    )
    event_retry_base_seconds: float = Field(60.0, description="first delay of an asynchronous invoke's retry", gt=0)
    event_max_age_seconds: float = Field(21_600.0, description="age at which an asynchronous invoke is dropped", gt=0)
    event_partitions: int = Field(8, description="queues that asynchronous invokes are spread over", ge=1, le=256)
    event_queue_bytes: int = Field(
        128 * 2**20, description="most bytes in one queue of asynchronous invokes; beyond it callers get 429", ge=1024
    )
    event_concurrency: int = Field(10, description="asynchronous invokes of one function running at once", ge=1)
    event_pace: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 1) // 2),
        description="events that a poller has on their way to a function at once, and that a gateway's process stores "
        "at once beside requests that wait for their answer (default: half the cores)",
        ge=1,
    )
    mapping_lease_seconds: float = Field(
        3.0, description="how long a dead poller's shards and queues wait until another takes them", gt=0.5
    )
    mapping_retry_base_seconds: float = Field(
        0.25, description="pause before a stream's failed batch runs again; then twice that, ..., a minute", gt=0
    )
    stream_shard_limit: int = Field(500, description="open shards of all data streams of an account", ge=1)
    shard_records_in_per_second: int = Field(
        0, description="records that a shard of a data stream takes a second (AWS: 1000); 0: no limit", ge=0
    )
    shard_bytes_in_per_second: int = Field(
        0, description="bytes that a shard takes a second (AWS: 1048576); 0: no limit", ge=0
    )
    shard_reads_per_second: int = Field(0, description="reads of a shard a second (AWS: 5); 0: no limit", ge=0)
    shard_bytes_out_per_second: int = Field(
        0, description="bytes that a shard gives a second (AWS: 2097152); 0: no limit", ge=0
    )
    stream_trim_seconds: float = Field(
        300.0, description="how often the room of streams' expired records is given back", gt=0
    )
    max_sandboxes: int | None = Field(None, description="a host's room (default: from memory)", ge=1)
    max_workers: int | None = Field(None, description="most worker processes of a host (default: its cores)", ge=1)
    scale_up_wait_seconds: float = Field(
        0.25, description="a worker is added when a request has waited this long for room", gt=0
    )
    scale_down_seconds: float = Field(60.0, description="a worker is drained when so long it was not needed", gt=0)
    idle_seconds: float = Field(300.0, description="how long an idle sandbox is kept", gt=0)
    runtime_match: Literal["nearest", "exact"] = Field(
        "nearest", description="what runs a function whose runtime isn't installed"
    )

    # --- processes ------------------------------------------------------------------------------------------
    settings_file: Path | None = Field(None, description="TOML file with these settings")
    function_port: int | None = Field(
        None, description="port of the API for functions, which never takes the development key (default: port + 1)"
    )
    gateway_processes: int | None = Field(None, description="gunicorn workers (default: half the cores)", ge=1)
    workers: int = Field(1, description="fewest worker processes of a host; the load adds more", ge=1)
    drain_seconds: float = Field(30.0, description="how long a stopping process waits for what runs", gt=0)
    leave_seconds: float = Field(
        0.0, description="a stopping gateway serves until no request has come for so long; at most twice as long", ge=0
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the platform's own log")
    stack: str | None = Field(None, description="internal: set by `hearth up` for its children")

    # --- access ---------------------------------------------------------------------------------------------
    region: str = Field("us-east-1", description="region when a request does not name one")
    account: str = Field("000000000000", description="account of the development key", pattern=r"^\d{12}$")
    development_key: bool = Field(True, description="accept access key `test` (secret `test`) on loopback")
    access_keys: str | None = Field(None, description="more keys: KEY:SECRET:ACCOUNT,...")
    secret: str | None = Field(None, description="key of the platform's own signatures (default: made once, in state)")

    url_permissions: Literal["one", "aws-2025"] = Field(
        "one",
        description="one: lambda:InvokeFunctionUrl lets callers of function URLs in; aws-2025: they need "
        "lambda:InvokeFunction too, as on AWS since October 2025",
    )
    role_default: Literal["auto", "allow", "deny"] = Field(
        "auto", description="what roles without a policy may do; auto: everything on loopback, nothing elsewhere"
    )

    # --- limits ---------------------------------------------------------------------------------------------
    account_concurrency: int = Field(1000, description="sandboxes an account may have", ge=1)
    unreserved_concurrency: int = Field(
        100, description="of these, how many must stay for functions without reserved concurrency", ge=0
    )
    requests_per_sandbox: float = Field(
        10.0,
        description="requests a second for each sandbox that a function (if reserved) or account may have; 0: no limit",
        ge=0,
    )
    scaling_rate: int = Field(1000, description="sandboxes that one function may start within 10 s", ge=1)
    max_timeout_seconds: int = Field(900, description="longest timeout of a function", ge=1)
    max_memory_mb: int = Field(10_240, description="most memory of a function", ge=128)
    max_ephemeral_mb: int = Field(10_240, description="most /tmp of a function", ge=512)
    max_environment_bytes: int = Field(4096, description="most bytes of a function's variables, as JSON", ge=0)
    max_policy_bytes: int = Field(20_480, description="most bytes of a resource-based policy", ge=1)
    max_layers: int = Field(5, description="most layers of a function", ge=0)
    max_zipped_bytes: int = Field(52_428_800, description="most bytes of a package in a request", ge=1)
    max_unzipped_bytes: int = Field(262_144_000, description="most bytes of a package and layers, unpacked", ge=1)
    max_code_storage_bytes: int = Field(80_530_636_800, description="most bytes of an account's packages", ge=1)
    max_payload_bytes: int = Field(6_291_456, description="most bytes of a request to a function, or its answer", ge=1)
    max_event_bytes: int = Field(1_048_576, description="most bytes of an asynchronous invocation", ge=1)
    max_streamed_bytes: int = Field(209_715_200, description="most bytes of a streamed response", ge=1)
    max_head_bytes: int = Field(1_048_576, description="most bytes of a request's line and headers", ge=1024)
    max_open_files: int = Field(1024, description="open files of a sandbox", ge=64)
    max_processes: int = Field(1024, description="processes and threads of a sandbox", ge=8)
    api_get_function_rate: float = Field(0, description="GetFunction calls a second of an account; 0: no limit", ge=0)
    api_get_policy_rate: float = Field(0, description="GetPolicy calls a second of an account; 0: no limit", ge=0)
    api_control_rate: float = Field(0, description="other Lambda calls a second of an account; 0: no limit", ge=0)
    placement_wait_seconds: float = Field(30.0, description="longest wait of a request for room", gt=0)
    init_seconds: float = Field(10.0, description="limit of the Init phase, and of restoring after it", gt=0)
    concurrent_inits: int | None = Field(None, description="Init phases a worker runs at once (default: 2 x cores)")
    stream_bytes_per_second: int = Field(
        2 * 2**20,
        description="how fast a streamed response goes out after its first 6 MiB, as on AWS; 0: no limit",
        ge=0,
    )
    stem_cells: int = Field(
        2,
        description="sandboxes with a booted runtime that a worker keeps ready for each runtime in use (7 to 20 MB "
        "each); one for each of the others; more after a burst; 0: none, every cold start is a full one",
        ge=0,
    )
    cpu: Literal["weight", "quota"] = Field(
        "weight",
        description="weight: CPU in proportion to memory when it is scarce, up to max(1, memory/1769 MB) cores; "
        "quota: never more than memory/1769 MB cores, as on AWS",
    )
    billing: Literal["invoke", "aws-2025"] = Field(
        "invoke", description="invoke: Init is not billed on demand; aws-2025: it is, as on AWS since August 2025"
    )
    isolation: Literal["auto", "full", "reduced", "process"] = Field(
        "auto", description="auto: the best the host allows; a named level: that one, or refuse to start"
    )
    egress: Literal["open", "platform", "off"] = Field(
        "open",
        description="what functions reach unless their tag hearth:egress says otherwise; open: the outside world and "
        "the platform, platform: its API only, off: nothing",
    )
    egress_allow: str | None = Field(
        None, description="private addresses and networks that functions may reach: 10.1.2.0/24,192.168.7.9"
    )
    log_retention_days: int = Field(30, description="how long function logs are kept", ge=1)

    # --- workflows ------------------------------------------------------------------------------------------
    time_scale: float = Field(
        1.0,
        description="pace of the platform's clock, by which workflows wait and are kept: 60 makes minutes seconds",
        gt=0,
    )
    workflow_open_limit: int = Field(1_000_000, description="executions of an account that may be open", ge=1)
    workflow_event_limit: int = Field(25_000, description="events that an execution's history may have", ge=10)
    workflow_data_bytes: int = Field(262_144, description="largest input or output of a state or a task", ge=1024)
    workflow_retention_days: float = Field(90.0, description="how long a closed execution is kept", gt=0)
    workflow_archive_seconds: float = Field(
        3600.0, description="how long after its end an execution's history stays in the durable server", gt=0
    )
    express_seconds: float = Field(300.0, description="how long an Express execution may take", gt=0)

    @field_validator("*", mode="before")
    @classmethod
    def _from_files(cls, value: Any) -> Any:
        return with_files(value) if isinstance(value, str) else value

    @field_validator("egress_allow", mode="after")
    @classmethod
    def _networks(cls, value: str | None) -> str | None:
        for part in (value or "").split(","):
            if part.strip():
                ipaddress.IPv4Network(part.strip())
        return value

    @field_validator("aws_upstream", "aws_endpoints", mode="after")
    @classmethod
    def _endpoints(cls, value: str | None, info: ValidationInfo) -> str | None:
        for part in (value or "").split(","):
            url = part.partition("=")[2].strip() if info.field_name == "aws_endpoints" else part.strip()
            if part.strip() and url != "aws" and not url.startswith(("http://", "https://")):
                raise ValueError(f"{part.strip()!r} names neither a URL nor `aws`")
        return value

    @field_validator("mq_brokers", mode="after")
    @classmethod
    def _brokers(cls, value: str | None) -> str | None:
        for part in (value or "").split(","):
            arn, _, url = part.strip().partition("=")
            if part.strip() and not (arn and (url == OWN_BROKER or url.startswith(("amqp://", "amqps://")))):
                raise ValueError(f"{arn!r} is given neither an amqp URL nor `{OWN_BROKER}`")
        return value

    @field_validator("data", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("code_url", mode="after")
    @classmethod
    def _absolute_folder(cls, value: str | None) -> str | None:
        return value if value is None or "://" in value else str(Path(value).expanduser().absolute())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(PREFIX + "SETTINGS_FILE")
        toml = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return (init_settings, env_settings, *toml)

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Environment over file over defaults. Raises BadSettings naming everything wrong at once."""
        problems = [
            f"{name}: no such setting (see `hearth config`)"
            for name in sorted(os.environ)
            if name.startswith(PREFIX) and name[len(PREFIX) :].lower() not in cls.model_fields
        ]
        try:
            settings = cls(**overrides)
        except ValidationError as exc:
            for error in exc.errors():
                where = ".".join(str(part) for part in error["loc"]) or "settings"
                problems.append(f"{PREFIX}{where.upper()}: {error['msg']} (got {error.get('input')!r})")
        except (OSError, tomllib.TOMLDecodeError) as exc:
            problems.append(f"HEARTH_SETTINGS_FILE: {exc}")
        if problems:
            raise BadSettings("\n".join(problems))
        return settings

    def to_environ(self) -> dict[str, str]:
        """Only what differs from the defaults, as HEARTH_* variables for a child process."""
        return {
            PREFIX + name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self
            if name in self.model_fields_set and value is not None
        }

    # --- what follows from them -----------------------------------------------------------------------------
    @property
    def endpoints(self) -> dict[str, str]:
        """Service name -> endpoint, from HEARTH_AWS_ENDPOINTS."""
        pairs = (part.partition("=") for part in (self.aws_endpoints or "").split(",") if part.strip())
        return {name.strip(): url.strip() for name, _, url in pairs}

    @property
    def amqp_brokers(self) -> dict[str, str]:
        """Broker's ARN, or `*` -> AMQP URL or OWN_BROKER, from HEARTH_MQ_BROKERS."""
        pairs = (part.strip().partition("=") for part in (self.mq_brokers or "").split(",") if part.strip())
        return {arn: url for arn, _, url in pairs}

    @property
    def function_listener(self) -> int:
        """Port of the API's listener for functions."""
        return self.port + 1 if self.function_port is None else self.function_port

    @property
    def remote_gateway(self) -> str | None:
        """The gateway that gives code and takes logs; None where both lie in a directory that it reads itself."""
        return None if self.code_url else self.gateway_url

    @property
    def function_address(self) -> tuple[str, int]:
        """Host and port of the API's listener for functions, as workers reach it."""
        if self.gateway_url is None:
            return self.bind, self.function_listener
        gateway = urlsplit(self.gateway_url)
        port = (gateway.port or 80) + 1 if self.function_port is None else self.function_port
        return gateway.hostname or self.bind, port

    @property
    def blobs_dir(self) -> Path:
        return Path(self.code_url.removeprefix("file://")) if self.code_url else self.data / "blobs"

    @property
    def runtimes_dir(self) -> Path:
        return self.data / "runtimes"

    @property
    def permissive(self) -> bool:
        """Roles without a policy may do everything."""
        return self.loopback if self.role_default == "auto" else self.role_default == "allow"

    @property
    def loopback(self) -> bool:
        return self.bind in ("127.0.0.1", "::1", "localhost")
