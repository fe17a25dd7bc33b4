"""What may be deployed."""

from __future__ import annotations

import io
import stat
import struct
import zipfile

import pytest

from gateway.lambda_api.code_package import check_package, check_zipped_size
from hearth.errors import InvalidParameterValue, RequestEntityTooLarge

BAD = "Could not unzip uploaded file. Please check your file, then try to upload again."


def package(*entries: tuple[str, bytes], mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidParameterValue) as caught:
        check_package(data)
    return caught.value.message


def test_ordinary_package_passes() -> None:
    check_package(package(("app.py", b"x"), ("lib/", b""), ("lib/m.py", b"y" * 1000)))


@pytest.mark.parametrize(
    "name",
    ["../app.py", "a/../../app.py", "/etc/passwd", "..", "..\\app.py"],
)
def test_name_that_leads_out_of_the_package_is_refused(name: str) -> None:
    assert refusal(package((name, b"x"))) == BAD


def test_dots_that_stay_inside_pass() -> None:
    check_package(package(("a/../app.py", b"x"), ("..app.py", b"x")))


@pytest.mark.parametrize(
    ("target", "accepted"),
    [(b"other.py", True), (b"../other.py", True), (b"../../x", False), (b"/etc/passwd", False), (b"x" * 5000, False)],
)
def test_symbolic_link_may_point_only_into_the_package(target: bytes, accepted: bool) -> None:
    data = package(("lib/link", target), mode=stat.S_IFLNK | 0o777)

    if accepted:
        check_package(data)
    else:
        assert refusal(data) == BAD


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_devices_and_pipes_are_refused(kind: int) -> None:
    assert refusal(package(("x", b""), mode=kind | 0o666)) == BAD


def test_entries_of_unknown_mode_pass() -> None:
    check_package(package(("META-INF/maven/", b""), ("META-INF/MANIFEST.MF", b"x"), mode=0o177777))


def test_what_unpacks_to_too_much_is_refused() -> None:
    check_package(package(("a", b"\0" * 6000), ("b", b"\0" * 4000)), 10_000)
    with pytest.raises(InvalidParameterValue, match="Unzipped size must be smaller than 10000 bytes"):
        check_package(package(("a", b"\0" * 6000), ("b", b"\0" * 4001)), 10_000)


def test_entry_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(package(("a", b"\0" * 100_000)))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        data[at : at + 4] = struct.pack("<I", 10)

    assert refusal(bytes(data)) == BAD


def test_damaged_or_foreign_data_is_refused() -> None:
    good = package(("app.py", bytes(range(256)) * 40))
    damaged = bytearray(good)
    damaged[60] ^= 0xFF

    assert refusal(bytes(damaged)) == BAD
    assert refusal(good[: len(good) // 2]) == BAD
    assert refusal(b"not a zip") == BAD
    assert refusal(b"") == "Uploaded file must be a non-empty zip"
    assert refusal(package()) == "Uploaded file must be a non-empty zip"


def test_encrypted_entry_is_refused() -> None:
    data = bytearray(package(("a", b"secret"), method=zipfile.ZIP_STORED))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1

    assert refusal(bytes(data)) == BAD


def test_package_over_its_limit_is_too_large() -> None:
    check_zipped_size(b"x" * 10, 10)
    with pytest.raises(RequestEntityTooLarge) as caught:
        check_zipped_size(b"x" * 11, 10)
    assert caught.value.message == "Zipped size must be smaller than 10 bytes"
