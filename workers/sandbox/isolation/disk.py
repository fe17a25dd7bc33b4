"""/tmp on disk: a file system of the function's EphemeralStorage in a sparse file, so that what a function writes there
does not count as its memory. Only for root: it takes loop devices.

Nothing of it has a name: the file is unlinked before it is used, the mount is attached nowhere, and the loop device
frees itself. What holds it is a descriptor; whoever holds it last, ends it, however it dies.
Source: the kernel's linux/loop.h; fsopen(2), fsmount(2) and move_mount(2) as of Linux 6.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile

from workers.sandbox.isolation import syscalls

#: Smaller ones stay in memory (AWS has none below 512).
SMALLEST_MB = 64
_LOOP_CTL_GET_FREE, _LOOP_CONFIGURE = 0x4C82, 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_CONFIG_BYTES, _FLAGS_AT = 304, 8 + 52
_EXT4_IOC_SHUTDOWN, _WITHOUT_FLUSH = 0x8004587D, 2
_BYTES_PER_INODE, _INODE_BYTES = 16_384, 256
#: No journal: nobody reads it after a crash. -m 0: nothing is kept back for root.
_MKFS = ["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard"]
_OPTIONS = ("noinit_itable", "errors=continue")


class DiskMaker:
    """Makes disks below `folder`; the first of a size costs a mkfs, the others a copy of its few blocks."""

    def __init__(self, folder: str) -> None:
        """Raises OSError with the reason when disks can't be made here."""
        program = shutil.which("mke2fs", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if program is None:
            raise OSError(errno.ENOENT, "not installed: e2fsprogs")
        self._mke2fs: str = program
        self._folder = folder
        self._templates: dict[int, list[tuple[int, bytes]]] = {}

    def make(self, size_mb: int) -> int:
        """A mount of a fresh, empty disk with room for size_mb, attached nowhere. Raises OSError.

        ENOSPC: the host's own disk has no room for all of it.
        """
        length = _length_of(size_mb)
        room = os.statvfs(self._folder)
        # Sparse, but never promised twice over: others take from the same room.
        if length > room.f_bavail * room.f_frsize // 2:
            raise OSError(errno.ENOSPC, f"{self._folder} has no room for a disk of {size_mb} MB")
        if size_mb not in self._templates:
            self._templates[size_mb] = self._template(length)
        image = os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(image, length)
            for offset, content in self._templates[size_mb]:
                os.pwrite(image, content, offset)
            return _mounted(image)
        finally:
            os.close(image)

    def _template(self, length: int) -> list[tuple[int, bytes]]:
        """What an empty file system of that length has on disk."""
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".disk-") as image:
            image.truncate(length)
            command = [self._mke2fs, *_MKFS, "-i", str(_BYTES_PER_INODE), "-I", str(_INODE_BYTES), image.name]
            result = subprocess.run(command, capture_output=True, text=True, timeout=30)
            if result.returncode != 0:
                raise OSError(f"mke2fs: {result.stderr.strip()}")
            disk = _mounted(image.fileno())
            root = os.open(".", os.O_RDONLY, dir_fd=disk)
            try:
                os.rmdir("lost+found", dir_fd=root)
                os.fchmod(root, 0o1777)
                syscalls.sync_file_system(root)
            finally:
                os.close(root)
                os.close(disk)
            return _written(image.fileno())


def discard(disk: int) -> None:
    """Let go of a disk without writing down what is still in memory: that could take longer than its life."""
    root = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=disk)
    try:
        fcntl.ioctl(root, _EXT4_IOC_SHUTDOWN, struct.pack("=I", _WITHOUT_FLUSH))
    finally:
        os.close(root)
        os.close(disk)


def _length_of(size_mb: int) -> int:
    """Of a file whose file system has that much room beside its own tables."""
    tables_mb = size_mb * _INODE_BYTES // _BYTES_PER_INODE + size_mb // 256 + 3
    # ext4 keeps 2 % back, 4096 blocks at most, for its own needs.
    return size_mb + tables_mb + min(size_mb // 40 + 1, 16) << 20


def _mounted(image: int) -> int:
    path, device = _loop_device(image)
    try:
        return syscalls.mount_detached("ext4", path, _OPTIONS)
    finally:
        os.close(device)


def _loop_device(image: int) -> tuple[str, int]:
    """Its path, and the descriptor that keeps it until it is mounted."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        while True:
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            config = bytearray(_LOOP_CONFIG_BYTES)
            struct.pack_into("=II", config, 0, image, 0)
            struct.pack_into("=I", config, _FLAGS_AT, _LO_FLAGS_AUTOCLEAR)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, bytes(config))
            except OSError as exc:
                os.close(device)
                if exc.errno != errno.EBUSY:  # another process took it first
                    raise
                continue
            return path, device
    finally:
        os.close(control)


def _written(image: int) -> list[tuple[int, bytes]]:
    parts: list[tuple[int, bytes]] = []
    at = 0
    while True:
        try:
            start = os.lseek(image, at, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # nothing but a hole from here on
                return parts
            raise
        at = os.lseek(image, start, os.SEEK_HOLE)
        content = os.pread(image, at - start, start)
        if content.strip(b"\0"):
            parts.append((start, content))
