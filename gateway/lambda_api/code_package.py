"""Deployment packages: a zip as it came in, judged before it is stored; workers unpack what passed here.

Limits: Lambda quotas, "Deployment package (.zip file archive) size". Messages: recorded from AWS.
"""

from __future__ import annotations

import io
import posixpath
import stat
import zipfile
import zlib
from typing import Any

from hearth.errors import InvalidParameterValue, RequestEntityTooLarge
from hearth.settings import Settings

MAX_ZIPPED_BYTES = 52_428_800
MAX_UNZIPPED_BYTES = 262_144_000
#: of files and directories: as many as fit in 250 MB at one block each
MAX_ENTRIES = 64_000
_MAX_LINK_BYTES = 4096

_BAD_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
_UPSTREAM_TIMEOUT_S = 30


def check_package(data: bytes) -> None:
    """Raises InvalidParameterValue for what is no zip, unpacks to too much, or reaches outside its folder."""
    if not data:
        raise InvalidParameterValue("Uploaded file must be a non-empty zip")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            # Declared sizes bound what zipfile ever yields, so a bomb can't hide behind small ones.
            if sum(entry.file_size for entry in entries) > MAX_UNZIPPED_BYTES:
                raise InvalidParameterValue(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
            if not entries:
                raise InvalidParameterValue("Uploaded file must be a non-empty zip")
            if len(entries) > MAX_ENTRIES or not all(_stays_inside(archive, entry) for entry in entries):
                raise InvalidParameterValue(_BAD_ZIP)
            if archive.testzip() is not None:
                raise InvalidParameterValue(_BAD_ZIP)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as exc:
        # RuntimeError: encrypted; NotImplementedError: a compression that Python lacks
        raise InvalidParameterValue(_BAD_ZIP) from exc


def _stays_inside(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Neither the entry's name nor, for a symbolic link, its target may lead out of the package's folder."""
    name = entry.filename
    if not name or "\\" in name or _escapes(name):
        return False
    mode = entry.external_attr >> 16
    if not stat.S_ISLNK(mode):
        return stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
    if entry.file_size > _MAX_LINK_BYTES:
        return False
    target = archive.read(entry).decode("utf-8", "replace")
    return not target.startswith("/") and not _escapes(posixpath.join(posixpath.dirname(name), target))


def _escapes(path: str) -> bool:
    return path.startswith("/") or posixpath.normpath(path).split("/")[0] == ".." or "\0" in path


def check_zipped_size(data: bytes) -> None:
    if len(data) > MAX_ZIPPED_BYTES:
        raise RequestEntityTooLarge(f"Zipped size must be smaller than {MAX_ZIPPED_BYTES} bytes")


def fetch_from_s3(settings: Settings, region: str, source: dict[str, Any]) -> bytes:
    """The object named by S3Bucket, S3Key and S3ObjectVersion. Blocking. Raises InvalidParameterValue."""
    endpoint = settings.endpoint_of("s3")
    if endpoint is None:
        raise InvalidParameterValue(
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: "
            "no S3 endpoint is configured (set HEARTH_AWS_ENDPOINTS=s3=http://... or HEARTH_AWS_UPSTREAM)"
        )
    # Loaded here: only a gateway that fetches from S3 pays for botocore's client.
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    session = botocore.session.get_session()
    fallback = {} if session.get_credentials() else {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = session.create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        config=Config(
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=_UPSTREAM_TIMEOUT_S,
            retries={"max_attempts": 2},
        ),
        **fallback,
    )
    where = {"Bucket": source["S3Bucket"], "Key": source["S3Key"]}
    if source.get("S3ObjectVersion"):
        where["VersionId"] = source["S3ObjectVersion"]
    try:
        answer = client.get_object(**where)
        if answer["ContentLength"] > MAX_UNZIPPED_BYTES:
            raise InvalidParameterValue(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
        return answer["Body"].read()
    except ClientError as exc:
        error = exc.response["Error"]
        code, message = error.get("Code", "Unknown"), error.get("Message", "")
        text = f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
        raise InvalidParameterValue(text) from exc
    except BotoCoreError as exc:
        text = f"Error occurred while GetObject. S3 Error Code: ServiceUnavailable. S3 Error Message: {exc}"
        raise InvalidParameterValue(text) from exc
    finally:
        client.close()
