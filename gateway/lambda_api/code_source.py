"""Where code comes from and where it is found again: ZipFile or S3, into the code store; links to what is there."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.call import Call
from gateway.lambda_api.account import check_storage
from gateway.lambda_api.code_package import check_package
from hearth import links
from hearth.aws_clients import AwsCallFailed, AwsUnreachable, ServiceNotServed
from hearth.errors import InvalidParameterValue


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """sha256 (hex) is its name in the code store."""

    sha256: str
    zipped_bytes: int
    unzipped_bytes: int


async def store_code(call: Call, source: dict[str, Any]) -> StoredPackage:
    """The package that `source` holds (ZipFile) or names (S3Bucket, S3Key, S3ObjectVersion), checked and stored.

    Raises InvalidParameterValue, CodeStorageExceededException.
    """
    package = await asyncio.to_thread(_store_code, call, source)
    await check_storage(call, package.zipped_bytes)
    return package


def check_one_source(source: dict[str, Any]) -> None:
    """Of a function's code. Raises InvalidParameterValue."""
    if "ZipFile" in source and not source.keys().isdisjoint(("S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri")):
        raise InvalidParameterValue("Please do not provide other FunctionCode parameters when providing a ZipFile.")


def code_link(call: Call, sha256: str) -> str:
    """A link to the package, served by this very endpoint, that needs no signature of the caller's.

    As AWS's presigned links do, it names the service and region, for a proxy that stands before several services.
    """
    host = call.request.headers.get("host", "localhost")
    path, _, signed = links.code_path(call.backends.secret, sha256, now_s=time.time()).partition("?")
    scope = quote(f"hearth/{time.strftime('%Y%m%d', time.gmtime())}/{call.caller.region}/lambda/aws4_request", safe="")
    return f"http://{host}{path}?X-Amz-Credential={scope}&{signed}"


def _store_code(call: Call, source: dict[str, Any]) -> StoredPackage:
    if "ZipFile" in source:
        data = source["ZipFile"]
    elif "S3Bucket" in source and "S3Key" in source:
        data = _fetch_from_s3(call, source)
    else:
        raise InvalidParameterValue("Please provide a source for function code.")
    unzipped_bytes = check_package(data, call.backends.limits.unzipped_bytes)
    return StoredPackage(call.backends.blobs.put(data), len(data), unzipped_bytes)


def _fetch_from_s3(call: Call, source: dict[str, Any]) -> bytes:
    """The object named by S3Bucket, S3Key and S3ObjectVersion. Blocking. Raises InvalidParameterValue."""
    where = {"Bucket": source["S3Bucket"], "Key": source["S3Key"]}
    if source.get("S3ObjectVersion"):
        where["VersionId"] = source["S3ObjectVersion"]
    try:
        clients, caller = call.backends.aws, call.caller
        data: bytes = clients.call_blocking("s3", "GetObject", caller.account, caller.region, "", where)["Body"]
    except ServiceNotServed as exc:
        raise _s3_failed("NoSuchBucket", exc.message) from exc
    except AwsCallFailed as exc:
        raise _s3_failed(exc.code, exc.message) from exc
    except AwsUnreachable as exc:
        raise _s3_failed("ServiceUnavailable", exc.message) from exc
    if len(data) > (most := call.backends.limits.unzipped_bytes):
        raise InvalidParameterValue(f"Unzipped size must be smaller than {most} bytes")
    return data


def _s3_failed(code: str, message: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}")
