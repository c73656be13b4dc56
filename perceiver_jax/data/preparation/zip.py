"""What is where in a zip archive, read from its directory alone: nothing is ever unpacked to disk.

Members are then read by offset and size, in any order and from many processes.
"""

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from perceiver_jax.data.preparation import tar
from perceiver_jax.data.preparation.items import Item, Packed
from perceiver_jax.errors import Code, Failure, printable

MAX_MEMBER_BYTES = 2**30  # unpacked
MAX_RATIO = 200  # of unpacked and packed bytes; meshes and text have 3 to 10
_HEADER_BYTES = 30  # of a member, before its name and further attributes
_END_BYTES = 22  # of the directory's end, before a remark
_ENCRYPTED, _UNICODE = 0x41, 0x800  # flags: by password, or strongly; names are UTF-8


def members(path: Path) -> Iterator[tuple[str, Item]]:
    """The regular files of a zip archive by name, each as an item without key and label.

    Raises Failure(DATA) for anything but a complete zip archive and for members that do not belong in a data set.
    """
    title, names = path.name, set()
    try:
        with open(path, "rb") as file:
            state = os.fstat(file.fileno())
            for info in _directory(file, title):
                is_file, offset = _is_file(info, title, names), _offset(file, info, title, state.st_size)
                if is_file:
                    form = Packed(info.compress_type == zipfile.ZIP_DEFLATED, info.file_size, info.CRC)
                    yield info.filename, Item("", 0, str(path), offset, info.compress_size, state.st_mtime_ns, form)
        after = os.stat(path)
    except OSError as error:
        raise Failure(Code.DATA, f"{title}: cannot be read", found=str(error)) from None
    if (state.st_size, state.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        found = f"{state.st_size:,} bytes, now {after.st_size:,}"
        raise Failure(Code.DATA, f"{title}: is still being written", found=found, hint="wait until it is complete")


def _directory(file: BinaryIO, title: str) -> list[zipfile.ZipInfo]:
    """What the archive's directory, at its end, lists."""
    first = file.read(512)
    hint = "download it again"
    if not first:
        raise Failure(Code.DATA, f"{title}: is empty", hint=hint)
    if not first.startswith(b"PK"):
        page = "a web page" if b"<html" in first.lower() or b"<!doctype" in first.lower() else ""
        found = next((text for magic, text in tar.COMPRESSED.items() if first.startswith(magic)), page)
        raise Failure(Code.DATA, f"{title}: is not a zip archive", found=found, hint=hint)
    if not title.lower().endswith(".zip"):
        raise Failure(Code.DATA, f"{title}: is a zip archive under another name", expected="a name that ends in .zip")
    size = file.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
    except zipfile.BadZipFile as error:
        if "not a zip file" in str(error):  # the directory's end is not there
            raise Failure(Code.DATA, f"{title}: ends early at {size:,} bytes", hint=hint) from None
        raise Failure(Code.DATA, f"{title}: damaged", str(error).lower(), hint=hint) from None
    except (NotImplementedError, ValueError, struct.error) as error:  # everything that damaged bytes have raised so far
        raise Failure(Code.DATA, f"{title}: damaged", str(error).lower(), hint=hint) from None
    claimed = _claimed(file, size)
    if claimed != len(listed):
        raise Failure(Code.DATA, f"{title}: damaged", f"its directory has {len(listed):,} members of {claimed:,}", hint=hint)
    return listed


def _claimed(file: BinaryIO, size: int) -> int:
    """How many members the directory's end claims: the module reads on from one to the next, wherever that leads."""
    start = max(0, size - _END_BYTES - 0xFFFF)  # a remark may follow
    tail = os.pread(file.fileno(), size - start, start)
    at = (
        len(tail) - _END_BYTES
        if tail[-_END_BYTES:].startswith(b"PK\5\6") and tail.endswith(b"\0\0")
        else tail.rfind(b"PK\5\6")
    )
    (claimed,) = struct.unpack_from("<H", tail, at + 10)
    wide = tail.rfind(b"PK\6\6", 0, at)
    return struct.unpack_from("<Q", tail, wide + 32)[0] if claimed == 0xFFFF and wide >= 0 else claimed


def _is_file(info: zipfile.ZipInfo, title: str, names: set[str]) -> bool:
    """Whether a member is a regular file, not a folder; raises Failure(DATA) for anything else and for bad names."""
    shown = printable(info.filename)
    if not info.filename or "\0" in info.orig_filename:
        found = f"a member is called {printable(info.orig_filename) or 'nothing'}"
        raise Failure(Code.DATA, f"{title}: damaged", found, hint="download it again")
    tar.check_inside(info.filename, title)
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was made without
    if kind == stat.S_IFLNK:
        raise Failure(Code.DATA, f"archive member is a link: {shown}", title)
    if info.is_dir():
        return False
    if kind not in (0, stat.S_IFREG):
        raise Failure(Code.DATA, f"archive member is not a regular file: {shown}", title)
    if info.flag_bits & _ENCRYPTED:
        raise Failure(Code.DATA, f"archive member is encrypted: {shown}", title, expected="an archive without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found = f"method {info.compress_type}"
        raise Failure(Code.DATA, f"unknown compression: {shown}", title, found=found, expected="stored or deflated")
    if info.file_size > MAX_MEMBER_BYTES:
        found, expected = f"{info.file_size:,} bytes", f"at most {MAX_MEMBER_BYTES:,}"
        raise Failure(Code.DATA, f"archive member too large: {shown}", title, found=found, expected=expected)
    if info.file_size > MAX_RATIO * info.compress_size:
        found = f"{info.file_size:,} bytes out of {info.compress_size:,}"
        expected = f"at most {MAX_RATIO} times as many"
        raise Failure(Code.DATA, f"archive member expands too much: {shown}", title, found=found, expected=expected)
    tar.check_new(info.filename, title, names)
    return True


def _offset(file: BinaryIO, info: zipfile.ZipInfo, title: str, size: int) -> int:
    """Where a member's bytes begin."""
    name = info.orig_filename.encode("utf-8" if info.flag_bits & _UNICODE else "cp437")
    length = _HEADER_BYTES + len(name)
    header = os.pread(file.fileno(), length, info.header_offset) if 0 <= info.header_offset < size else b""
    if len(header) == length and header.startswith(b"PK\3\4") and header.endswith(name):
        offset = info.header_offset + _HEADER_BYTES + sum(struct.unpack_from("<HH", header, _HEADER_BYTES - 4))
        if offset + info.compress_size <= size:
            return offset
    hint = "download it again"
    raise Failure(Code.DATA, f"{title}: damaged", f"member {printable(info.filename)} is not where it should be", hint=hint)
