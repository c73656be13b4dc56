"""Containers that broke off while they were copied: FFmpeg gives what is there, up to half of it, without a word."""

import struct
from io import BufferedIOBase

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.media_bytes import Data, opened

_SEGMENT, _EBML = b"\x18\x53\x80\x67", b"\x1a\x45\xdf\xa3"  # Matroska's outermost elements
_STREAMED = 0x7FFF0000  # bytes: an AVI that was never finished claims this or more
_MAX_PARTS = 1_000_000  # of an MP4 in fragments


def check_whole(data: Data, kind: str) -> bool:
    """Whether a container has an index of all that it holds.

    Raises BadFile for an MP4, a Matroska file or an AVI whose own sizes promise more than is there.
    """
    checks = {"mov": _check_boxes, "matroska": _check_segment, "avi": _check_riff}
    if kind not in checks:
        return False
    with opened(data) as (file, size):
        return checks[kind](file, size)


def _promised(what: str, end: int, size: int) -> BadFile:
    return BadFile("truncated", f"{what} ends at byte {end:,}, and the file has {size:,}")


def _check_boxes(file: BufferedIOBase, size: int) -> bool:
    """An MP4 is boxes, each with its size; one of them, moov, is the index, of what is in no fragments (moof)."""
    at, names = 0, set()
    for _ in range(_MAX_PARTS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or not head[4:8].replace(b"\xa9", b"c").strip().isalnum():
            break
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if length == 0:  # up to the end
            length = size - at
        if length < 8:
            break
        if at + length > size:
            raise _promised(f"its part {name.decode()}", at + length, size)
        names.add(name)
        at += length
    if b"moov" not in names:
        raise BadFile("truncated", "has no index (its part moov is missing): it was not finished, or broke off")
    return b"moof" not in names


def _check_segment(file: BufferedIOBase, size: int) -> bool:
    """Matroska is a header and a segment, whose size may be unknown."""
    at = 0
    for expected in (_EBML, _SEGMENT):
        file.seek(at)
        head = file.read(12)
        if head[:4] != expected or len(head) < 5 or not head[4]:
            return False
        width = 9 - head[4].bit_length()  # bytes of its size, whose first bit that is set tells them
        length = int.from_bytes(head[4 : 4 + width], "big") & (1 << 7 * width) - 1
        if length == (1 << 7 * width) - 1:  # unknown: it was streamed
            return False
        at += 4 + width + length
    if at > size:
        raise _promised("its segment", at, size)
    return False


def _check_riff(file: BufferedIOBase, size: int) -> bool:
    (length,) = struct.unpack("<I", file.read(8)[4:].ljust(4, b"\0"))
    if size < 8 + length < _STREAMED:
        raise _promised("its first part", 8 + length, size)
    return False
