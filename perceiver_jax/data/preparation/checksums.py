"""The checksums that a source was published with, as md5sum and sha256sum write them, and whether its files have them."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.data.preparation.findings import SHOWN
from perceiver_jax.errors import Code, Failure, printable, some
from perceiver_jax.system import disk

MAX_LIST_BYTES = 2**28  # three times that of a list of all of ImageNet's pictures
CHUNK_BYTES = 2**20
_KINDS = {32: "md5", 64: "sha256"}  # by their digits
_LINE = re.compile(r"([0-9A-Fa-f]+) [ *](.+)")
_ARCHIVES = (".tar", ".zip")


class Checksum(NamedTuple):
    """A line of a list."""

    kind: str
    expected: str
    name: str
    path: Path
    size: int


def read(path: Path, root: Path) -> list[Checksum]:
    """The checksums in a list of lines `HEX  NAME`, names below `root`; blank lines are passed over.

    Raises Failure(DATA) naming the first line that holds no checksum, or whose file does not exist.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape") if size <= MAX_LIST_BYTES else ""
    except OSError as error:
        raise Failure(Code.DATA, f"checksums {path}", "cannot be read", found=disk.reason(error)) from None
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        matched = _LINE.fullmatch(line)
        if not matched or len(matched[1]) not in _KINDS:
            expected = "32 digits of MD5 or 64 of SHA-256, two spaces and a name, as md5sum and sha256sum write them"
            raise Failure(Code.DATA, f"{path} line {number}", printable(line, 80), expected=expected)
        file = root / matched[2]
        if not file.is_file():
            what, hint = f"{path} line {number}", "download it, or remove it from the list"
            raise Failure(Code.DATA, what, f"{printable(matched[2])} is not a file in {root}", hint=hint)
        found.append(Checksum(_KINDS[len(matched[1])], matched[1].lower(), matched[2], file, file.stat().st_size))
    if not found:
        raise Failure(Code.DATA, f"checksums {path}", "is not a list of checksums", found=f"{size:,} bytes")
    return found


def check(checksums: Sequence[Checksum], observe: Callable[[int], None]) -> None:
    """Reads the files and compares; `observe(bytes read)` is called often and may raise to stop.

    Archives must have been listed before: then one that differs is known to be a complete download. Raises
    Failure(DATA) naming those that differ.
    """
    wrong, done = [], 0
    for checksum in checksums:
        digest = hashlib.new(checksum.kind)
        try:
            with open(checksum.path, "rb", buffering=0) as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
                    done += len(chunk)
                    observe(done)
        except OSError as error:
            raise Failure(Code.DATA, f"{printable(checksum.name)}: cannot be read", found=disk.reason(error)) from None
        if digest.hexdigest() != checksum.expected:
            wrong.append((checksum, digest.hexdigest()))
    if wrong:
        raise _differs(*wrong[0], [printable(checksum.name) for checksum, _ in wrong[1:]])


def _differs(checksum: Checksum, found: str, others: Sequence[str]) -> Failure:
    whole = checksum.name.lower().endswith(_ARCHIVES)
    where = f"{printable(checksum.name)}: the file is {'complete but altered' if whole else 'altered or cut off'}"
    if others:
        where += f"; {len(others):,} more differ: {some(others, SHOWN)}"
    hint = "download it again"
    return Failure(Code.DATA, f"{checksum.kind} differs", where, found=found, expected=checksum.expected, hint=hint)
