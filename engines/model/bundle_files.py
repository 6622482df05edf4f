"""The bytes of a bundle's files, out of a folder or a .zip, and never more of them than allowed.

Memory is taken in proportion to the bytes that are really there, not to what a file says of itself.
"""

import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from engines.errors import BundleError

MAX_ZIP_MEMBERS = 64
MAX_ZIP_DIRECTORY_BYTES = 64 << 10  # the list of members
MAX_UNPACKED_BYTES = 512 << 20  # of all members that are read
MAX_RATIO = 100  # unpacked bytes for each packed one; weights have below 2
SMALL_BYTES = 64 << 10  # a member below this may have any ratio
PIECE_BYTES = 1 << 20
_DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error, struct.error, ValueError, OverflowError)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40  # bits of a member's flags
_END = struct.Struct("<4s4H2LH")  # the end of a .zip: signature, disks, members, directory, comment
_SIGNATURE = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20


class BundleFolder:
    """Files of a bundle in a folder. Links are followed: a cache of downloads is made of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, limit: int) -> bytes:
        """Read one file whole, refusing more than `limit` bytes."""
        where = f"{self._path}: {name}"
        try:
            with open_file(self._path / name) as file:
                size = os.fstat(file.fileno()).st_size  # or the buffer would be as big as `limit`
                content = file.read(min(size, limit) + 1)
        except OSError as exc:
            raise BundleError(f"{where} cannot be read: {exc.strerror}") from exc
        if len(content) > limit:
            raise BundleError(f"{where} is larger than the {limit:,} bytes that are read at most")
        return content


class BundleArchive:
    """Files of a bundle in a .zip. Nothing is unpacked to disk; other members are not touched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unpacked_bytes = 0

    def read(self, name: str, limit: int) -> bytes:
        """Read one member whole, refusing more than `limit` bytes, declared or real."""
        where = f"{self._path}: {name}"
        try:
            with open_file(self._path) as file:
                packed_bytes = _check_end(file, str(self._path))
                with zipfile.ZipFile(file) as archive:
                    member = _member(archive, name, where)
                    _check_member(member, packed_bytes, limit, where)
                    return self._read(archive, member, where)
        except (*_DAMAGED, OSError) as exc:
            raise BundleError(f"{where} cannot be read: {exc}") from exc
        except (NotImplementedError, RuntimeError) as exc:  # a feature of other packers
            raise BundleError(f"{where} cannot be unpacked: {exc}; use a plain .zip") from exc

    def _read(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> bytes:
        """Read piece by piece. `zipfile` stops at the declared size and compares the checksum."""
        content = bytearray()
        with archive.open(member) as file:
            while piece := file.read(PIECE_BYTES):
                content += piece
                self._unpacked_bytes += len(piece)
                if self._unpacked_bytes > MAX_UNPACKED_BYTES:
                    raise BundleError(
                        f"{where}: more than {MAX_UNPACKED_BYTES:,} bytes are in the .zip, which is"
                        " the limit"
                    )
        if len(content) != member.file_size:
            raise BundleError(
                f"{where} is {len(content):,} bytes, the .zip says {member.file_size:,}"
            )
        return bytes(content)


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file to read; `OSError` for all else, without waiting for a FIFO's writer."""
    if not stat.S_ISREG(path.stat().st_mode):  # before opening: that alone can move a device
        raise _not_regular(path)
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _not_regular(path)
    return os.fdopen(file, "rb")


def _not_regular(path: Path) -> OSError:
    return OSError(0, "it is not a regular file", str(path))


def _check_end(file: IO[bytes], path: str) -> int:
    """Check the record at the end of a .zip, so that `zipfile` reads a small directory.

    Returns the size of the file.
    """
    size = file.seek(0, os.SEEK_END)
    tail_bytes = min(size, _END.size + _ZIP64_LOCATOR_BYTES)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    if len(tail) < _END.size or tail[-_END.size :][:4] != _SIGNATURE:
        raise BundleError(f"{path} is not a zip file, or something comes after its end")
    _, _, _, _, members, directory_bytes, _, comment_bytes = _END.unpack(tail[-_END.size :])
    if comment_bytes or tail[: -_END.size].startswith(_ZIP64):
        raise BundleError(f"{path} has a comment or is in the format zip64; use a plain .zip")
    if members > MAX_ZIP_MEMBERS or directory_bytes > MAX_ZIP_DIRECTORY_BYTES:
        raise BundleError(
            f"{path} lists {members:,} members in {directory_bytes:,} bytes, at most"
            f" {MAX_ZIP_MEMBERS} in {MAX_ZIP_DIRECTORY_BYTES:,} are taken"
        )
    file.seek(0)
    return size


def _member(archive: zipfile.ZipFile, name: str, where: str) -> zipfile.ZipInfo:
    found = [member for member in archive.infolist() if member.filename == name]
    if not found:
        raise BundleError(f"{where} is missing; it must be at the top of the .zip")
    if len(found) > 1:
        raise BundleError(f"{where} is {len(found)} times in the .zip, once is wanted")
    return found[0]


def _check_member(member: zipfile.ZipInfo, packed_bytes: int, limit: int, where: str) -> None:
    """Check what a .zip says of a member; `packed_bytes` is the size of the whole .zip."""
    if member.flag_bits & _ENCRYPTED:
        raise BundleError(f"{where} is encrypted; use a plain .zip")
    if member.compress_type not in _METHODS:
        raise BundleError(
            f"{where} is compressed by method {member.compress_type}; stored and deflate are read"
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise BundleError(f"{where} is a link; put the file itself into the .zip")
    if member.file_size > limit:
        raise BundleError(f"{where} is {member.file_size:,} bytes, at most {limit:,} are read")
    if member.compress_size > packed_bytes:
        raise BundleError(f"{where} is larger than the whole .zip")
    most_bytes = max(SMALL_BYTES, MAX_RATIO * member.compress_size)
    if member.file_size > most_bytes:
        raise BundleError(
            f"{where} is {member.file_size:,} bytes packed into {member.compress_size:,}; more than"
            f" {MAX_RATIO} to 1 is refused"
        )
