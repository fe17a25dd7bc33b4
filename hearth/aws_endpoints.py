"""Which endpoint serves an AWS service: Hearth itself, one of HEARTH_AWS_ENDPOINTS, HEARTH_AWS_UPSTREAM, or nobody.

Services go by their signing names (the service of a SigV4 scope: `s3`, `sqs`, `events`, `states`); botocore's client
names and the usual spellings (`stepfunctions`, `eventbridge`, `cloudwatch`) mean the same. An endpoint is a URL, or
`aws` for AWS's own. Pure: who calls is in `hearth.aws_clients`, what is passed through in the gateway.
"""

from __future__ import annotations

from hearth.settings import Settings

#: services that this platform runs; no endpoint of the settings replaces them
RUN_HERE = frozenset({"apigateway", "kinesis", "lambda", "logs", "states", "sts"})
#: what it runs besides unless HEARTH_AWS_ENDPOINTS names another server of `dynamodb`
TABLES = frozenset({"dynamodb", "dynamodbstreams"})
#: what `hearth up --with` can start a companion server for
COMPANION = ("s3", "sqs", "sns", "dynamodb", "events", "ssm", "secretsmanager")
#: the endpoint that means AWS itself
AWS = "aws"

_ALIASES = {
    "apigatewayv2": "apigateway",
    "cloudwatch": "monitoring",
    "cloudwatchlogs": "logs",
    "emr": "elasticmapreduce",
    "eventbridge": "events",
    "ses": "email",
    "sesv2": "email",
    "sfn": "states",
    "stepfunctions": "states",
}
#: where a service without an endpoint of its own is looked for before the upstream
_BESIDE = {"dynamodbstreams": "dynamodb"}
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def canonical(service: str) -> str:
    """The signing name of what people, botocore and requests call a service."""
    name = service.strip().lower()
    return _ALIASES.get(name, name)


def own_endpoint(settings: Settings) -> str:
    """Where this platform's API is reached from its own processes on this host, or from workers on others."""
    if settings.gateway_url:
        return settings.gateway_url.rstrip("/")
    host = _ANY.get(settings.bind, settings.bind)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def unserved(service: str) -> str:
    """What to tell a caller of a service that nobody serves: the flag that would start it."""
    name = canonical(service)
    if name in COMPANION:
        start = f"Start the platform with `hearth up --with {name}`, or name a server: "
    else:
        start = "Name a server that does: "
    return f"Nobody serves {name} here. {start}HEARTH_AWS_ENDPOINTS={name}=http://HOST:PORT or HEARTH_AWS_UPSTREAM."


class AwsEndpoints:
    """The map of one platform's settings."""

    def __init__(self, settings: Settings) -> None:
        self._own = own_endpoint(settings)
        self._named = {canonical(name): url for name, url in settings.endpoints.items()}
        self._upstream = settings.aws_upstream
        #: canonical names of what this platform itself answers for
        self.here = RUN_HERE if "dynamodb" in self._named else RUN_HERE | TABLES

    def of(self, service: str, region: str) -> str | None:
        """URL of a service's endpoint; None: nobody serves it."""
        name = canonical(service)
        if name in self.here:
            return self._own
        return self.elsewhere(name, region)

    def elsewhere(self, service: str, region: str) -> str | None:
        """As `of`, but only of other servers: never this platform."""
        name = canonical(service)
        url = self._named.get(name) or self._named.get(_BESIDE.get(name, ""), self._upstream)
        if url == AWS:
            return (
                f"https://{name}.amazonaws.com" if name in ("iam", "sts") else f"https://{name}.{region}.amazonaws.com"
            )
        return url.rstrip("/") if url else None

    def table(self) -> dict[str, str]:
        """Service -> who serves it, for people; `*` is every other one, if there is an upstream."""
        found = dict.fromkeys(sorted(self.here), "hearth")
        found |= {name: url for name, url in sorted(self._named.items()) if name not in self.here}
        return found | ({"*": self._upstream} if self._upstream else {})
