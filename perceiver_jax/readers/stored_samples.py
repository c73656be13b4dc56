"""Files of parts that hold samples as they are, WAV's and AIFF's kin: where the samples are, in what form, and how many.

By itself, with libsndfile for the samples alone: it reads some of these files as noise (24 bits in 32, Wave64 with bytes
behind it), gives none where the header of a streamed file says none, and takes a cut file for a shorter one; FFmpeg reads
big-endian WAV as noise.
"""

import struct
from collections.abc import Iterator
from io import BufferedIOBase
from typing import NamedTuple

from perceiver_jax.readers import BadFile

MAX_CHANNELS, MAX_RATE = 255, 384_000
_STREAMED = 0x7FFF0000  # bytes: a writer that does not know the size yet claims this or more, or none
_MAX_CHUNKS = 10_000
_GUID = 16  # bytes of Wave64's names of parts, of which the first four are WAV's
_INTEGERS = {2: "PCM_16", 3: "PCM_24", 4: "PCM_32", 8: "PCM_32"}  # of 8 bytes the upper 4 are taken
_FLOATS = {4: "FLOAT", 8: "DOUBLE"}


class Samples(NamedTuple):
    """How the samples of a file are stored, uncompressed."""

    subtype: str  # libsndfile's name of their form
    width: int  # bytes of each
    channels: int
    rate: int
    order: str  # of bytes: "LITTLE" or "BIG"
    offset: int  # of the first, in the file
    length: int  # frames that are there
    streamed: bool  # whether the header does not say how many


def check_claims(channels: int, rate: int) -> None:
    """Raises BadFile for numbers that no sound has."""
    if not 0 < channels <= MAX_CHANNELS:
        raise BadFile("channels", f"has {channels:,} channels; 1 to {MAX_CHANNELS} are read")
    if not 0 < rate <= MAX_RATE:
        raise BadFile("rate", f"has a sampling rate of {rate:,} Hz; 1 to {MAX_RATE:,} are read")


def integers(bits: int, width: int, signed_bytes: bool) -> str:
    """libsndfile's name of integers of some bits in `width` bytes; raises BadFile."""
    if width == 1 and bits == 8:
        return "PCM_S8" if signed_bytes else "PCM_U8"
    if bits < 8 or width not in _INTEGERS:
        raise BadFile("encoding", f"holds integers of {bits} bits; those of 8 to 32 and of 64 are read")
    return _INTEGERS[width]


def floats(width: int) -> str:
    """libsndfile's name of floats of `width` bytes; raises BadFile."""
    if width not in _FLOATS:
        raise BadFile("encoding", f"holds floats of {8 * width} bits; those of 32 and 64 are read")
    return _FLOATS[width]


def chunks(file: BufferedIOBase, size: int, order: str, wide: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """The parts of a file, of Wave64 if `wide`: their name, where their contents begin, how many bytes they claim to have.

    Raises BadFile where one that is gone past claims more than the file has.
    """
    head, at = (_GUID + 8, 2 * _GUID + 8) if wide else (8, 12)
    for _ in range(_MAX_CHUNKS):
        if at + head > size:
            return
        file.seek(at)
        bare = file.read(head)
        length = struct.unpack_from("<Q", bare, _GUID)[0] - head if wide else struct.unpack_from(order + "I", bare, 4)[0]
        yield bare[:4], at + head, length
        if length < 0 or at + head + length > size:
            raise BadFile("chunk-overrun", f"its part at byte {at:,} claims {length:,} bytes, more than the file has")
        at += head + length + (-length % (8 if wide else 2))
    raise BadFile("header", f"has more than {_MAX_CHUNKS:,} parts")


def data_there(claimed: int, offset: int, size: int, order: str, file: BufferedIOBase) -> int:
    """The bytes of samples from `offset` on, of which the header claims a number; raises BadFile where it lies."""
    there = max(0, size - offset)
    if not there or (not claimed and _is_chunk(offset, size, order, file)):
        raise BadFile("no-samples", "has a header and no samples")
    if not claimed or claimed >= _STREAMED:
        return min(there, claimed or there)
    if claimed > there:
        raise BadFile("truncated", f"its header promises {claimed:,} bytes of samples; {there:,} are there")
    return claimed


def _is_chunk(offset: int, size: int, order: str, file: BufferedIOBase) -> bool:
    """Whether there is a part of a file, rather than samples."""
    file.seek(offset)
    name, length = struct.unpack(order + "4sI", file.read(8).ljust(8, b"\xff"))
    return name.strip().isalnum() and name.isascii() and offset + 8 + length <= size
