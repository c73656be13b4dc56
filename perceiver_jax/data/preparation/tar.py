"""What is where in a tar archive, read from its headers alone: nothing is ever unpacked, so nothing can escape.

Contents are then read by offset and size, in any order and from many processes. A tar inside a tar is a range of it.
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from perceiver_jax.errors import Code, Failure, printable

MAX_HEADER_BYTES = 1_000_000  # a member's name and attributes; the format allows any number
MAX_MEMBERS = 2_000_000  # in one archive; ImageNet's largest has 50,000
COMPRESSED = {b"PK": "a zip archive", b"\x1f\x8b": "compressed by gzip", b"BZh": "compressed by bzip2"}
_LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)


class Member(NamedTuple):
    """A regular file in an archive; `offset` counts from the start of the file on disk."""

    name: str  # bytes that are not UTF-8 are lone surrogates, as in file names
    offset: int
    size: int


class Archive:
    """A tar file on disk, open for listing. `published_bytes` is the size it should have, for messages."""

    def __init__(self, path: Path, published_bytes: int | None = None):
        self.path, self._published = path, published_bytes

    def __enter__(self) -> "Archive":
        try:
            self._file = open(self.path, "rb")
        except OSError as error:
            raise Failure(Code.DATA, f"{self.path.name}: cannot be read", found=str(error)) from None
        state = os.fstat(self._file.fileno())
        self.size, self.stamp = state.st_size, state.st_mtime_ns
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def check_unchanged(self) -> None:
        """Raises Failure(DATA) where the file has changed since it was opened."""
        state = os.stat(self.path)
        if (state.st_size, state.st_mtime_ns) != (self.size, self.stamp):
            found, hint = f"{self.size:,} bytes, now {state.st_size:,}", "wait until it is complete"
            raise Failure(Code.DATA, f"{self.path.name}: is still being written", found=found, hint=hint)

    def members(self, within: Member | None = None) -> Iterator[Member]:
        """The regular files of the archive, or of the tar that is its member `within`, in their order.

        Raises Failure(DATA) for anything but a complete tar archive and for members that do not belong in a data set.
        """
        title = self.path.name + (f", {printable(within.name)}" if within else "")
        start, size = (within.offset, within.size) if within else (0, self.size)
        window = _Window(self._file.fileno(), start, size, title)
        self._check_beginning(window, title)
        names: set[str] = set()
        try:
            with tarfile.open(fileobj=window, mode="r:") as archive:
                while (info := archive.next()) is not None:
                    archive.members = []  # the module would keep them all
                    if info.size < 0:  # would seek backwards
                        raise Failure(Code.DATA, f"{title}: damaged", f"member {printable(info.name)} has {info.size} bytes")
                    if info.offset_data + info.size > size:
                        raise self._ends_early(title, start + size)
                    if _is_file(info, title, names):
                        yield Member(info.name, start + info.offset_data, info.size)
                end = archive.offset
        except tarfile.TarError:
            raise self._ends_early(title, start + size) from None
        # The module treats a damaged header as the end; the true end is marked by zeros.
        window.seek(end)
        mark = window.read(tarfile.BLOCKSIZE)
        if len(mark) < tarfile.BLOCKSIZE:
            raise self._ends_early(title, start + size)
        if mark.strip(b"\0"):
            raise Failure(Code.DATA, f"{title}: damaged at byte {end:,}", hint="download it again")

    def _ends_early(self, title: str, end: int) -> Failure:
        of = f" of {self._published:,}" if self._published and self._published > end else ""
        return Failure(Code.DATA, f"{title}: ends early at {end:,}{of} bytes", hint="download it again")

    def _check_beginning(self, window: "_Window", title: str) -> None:
        """Raises Failure(DATA) for anything but a tar."""
        first = window.read(tarfile.BLOCKSIZE)
        window.seek(0)
        try:
            tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
        except tarfile.EmptyHeaderError:
            raise Failure(Code.DATA, f"{title}: is empty", hint="download it again") from None
        except tarfile.TruncatedHeaderError:
            raise self._ends_early(title, len(first)) from None
        except tarfile.EOFHeaderError:
            pass  # an archive of nothing: its reader says what it lacks
        except tarfile.HeaderError:
            found = next((text for magic, text in COMPRESSED.items() if first.startswith(magic)), "")
            raise Failure(Code.DATA, f"{title}: is not a tar archive", found=found, hint="download it again") from None


def _is_file(info: tarfile.TarInfo, title: str, names: set[str]) -> bool:
    """Whether a member is a regular file, not a folder; raises Failure(DATA) for anything else and for bad names."""
    shown = printable(info.name)
    check_inside(info.name, title)
    if info.isdir():
        return False
    if info.type in _LINKS:
        raise Failure(Code.DATA, f"archive member is a link: {shown}", title, found=f"to {printable(info.linkname)}")
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.sparse is not None:
        raise Failure(Code.DATA, f"archive member is not a regular file: {shown}", title)
    check_new(info.name, title, names)
    return True


def check_inside(name: str, title: str) -> None:
    """Raises Failure(DATA) for a member that unpacking would put outside of the target."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise Failure(Code.DATA, f"archive member leaves the target: {printable(name)}", title)


def check_new(name: str, title: str, names: set[str]) -> None:
    """Adds a member to the names of those before; raises Failure(DATA) for one of them, and for too many."""
    folded = str(PurePosixPath(name)).casefold()
    if folded in names:
        expected = "names that differ by more than case"
        raise Failure(Code.DATA, f"duplicate member: {printable(name)}", title, expected=expected)
    names.add(folded)
    if len(names) > MAX_MEMBERS:
        raise Failure(Code.DATA, f"{title}: more than {MAX_MEMBERS:,} members")


class _Window:
    """A range of a file as a file of its own, for headers alone."""

    def __init__(self, descriptor: int, start: int, size: int, title: str):
        self._descriptor, self._start, self._size, self._title = descriptor, start, size, title
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise Failure(Code.DATA, f"{self._title}: damaged", f"a header of {size:,} bytes")
        size = max(0, min(size, self._size - self._position))
        data = os.pread(self._descriptor, size, self._start + self._position) if size else b""
        self._position += len(data)
        return data
