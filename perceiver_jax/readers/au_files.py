"""Where the samples of AU files (Sun, NeXT) and of CAF files (Apple) are, and in what form."""

import struct
from io import BufferedIOBase

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.stored_samples import Samples, check_claims, data_there, floats, integers

_LAWS = {1: "ULAW", 27: "ALAW"}  # AU's numbers of codings
_INTEGERS, _FLOATS = {2: 1, 3: 2, 4: 3, 5: 4}, {6: 4, 7: 8}  # and of others, with the bytes of a sample
_CAF_LAWS = {b"ulaw": "ULAW", b"alaw": "ALAW"}
_IS_FLOAT, _IS_LITTLE = 1, 2  # flags of CAF's linear samples
_UNKNOWN = 2**64 - 1  # CAF's number of bytes of a streamed file
_MAX_CHUNKS = 10_000


def read_au(file: BufferedIOBase, size: int) -> Samples | str:
    """Where the samples are, or the name of the coding of those that are compressed; raises BadFile."""
    head = file.read(24)
    if len(head) < 24:
        raise BadFile("truncated", "ends in its header")
    _, offset, claimed, coding, rate, channels = struct.unpack(">6I", head)
    check_claims(channels, rate)
    there = data_there(claimed, offset, size, ">", file)
    if coding in _LAWS:
        width, subtype = 1, _LAWS[coding]
    elif coding in _INTEGERS:
        width = _INTEGERS[coding]
        subtype = integers(8 * width, width, signed_bytes=True)
    elif coding in _FLOATS:
        width = _FLOATS[coding]
        subtype = floats(width)
    else:
        return f"coding {coding}"
    return Samples(subtype, width, channels, rate, "BIG", offset, there // (width * channels), there != claimed)


def read_caf(file: BufferedIOBase, size: int) -> Samples | str:
    """As `read_au`, of a CAF file."""
    form, at = b"", 8
    for _ in range(_MAX_CHUNKS):
        if at > size:  # perhaps farther than a file can be asked for
            break
        file.seek(at)
        head = file.read(12)
        if len(head) < 12:
            break
        name, claimed = struct.unpack(">4sQ", head)
        if name == b"desc":
            form = file.read(32)
        elif name == b"data" and len(form) == 32:
            return _caf_samples(form, at + 16, claimed, size, file)
        at += 12 + claimed
    raise BadFile("no-samples", "has a header and no samples")


def _caf_samples(form: bytes, offset: int, claimed: int, size: int, file: BufferedIOBase) -> Samples | str:
    rate, kind, flags, packet, per_packet, channels, bits = struct.unpack(">d4s5I", form)
    check_claims(channels, round(rate) if 0 < rate < 2**32 else 0)
    claimed = 0 if claimed == _UNKNOWN else claimed - 4  # the first four bytes count edits
    there = data_there(max(0, claimed), offset, size, ">", file)
    if kind in _CAF_LAWS:
        width, subtype = 1, _CAF_LAWS[kind]
    elif kind == b"lpcm" and per_packet == 1:
        width = packet // channels
        subtype = floats(width) if flags & _IS_FLOAT else integers(bits, width, signed_bytes=True)
    else:
        return kind.decode("latin-1").strip()
    order = "LITTLE" if flags & _IS_LITTLE else "BIG"
    return Samples(subtype, width, channels, round(rate), order, offset, there // (width * channels), there != claimed)
