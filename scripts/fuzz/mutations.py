"""Damaged inputs: what becomes of valid ones, from a seed and a number alone."""

import random
import re
import struct
from collections.abc import Callable, Sequence

MAX_BYTES = 1_000_000  # of an input; a mutation that would make more is cut
_MOST = 4  # changes of one input
_WORDS = (b"0", b"-1", b"2147483647", b"4294967295", b"1000000000000", b"nan", b"-inf", b"1e400", b"", b"1" * 5000)
_WHOLE = (0, 1, 127, 128, 255, 2**15 - 1, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 10**12, 2**63 - 1, 2**64 - 1)
_TEXTS = (
    b"\0",
    b"\n",
    b"\r",
    b'"',
    b"'",
    b",",
    b";",
    b"\\",
    b"..",
    b"{",
    b"[" * 5000,
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc3(",
)
_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
_HEADER = 64  # bytes, in which half of the changed lengths are

Change = Callable[[bytes, bytes, random.Random], bytes]  # of the data, another seed and the source of chance


def mutation(seeds: Sequence[bytes], seed: int, number: int) -> tuple[int, bytes]:
    """The input of that number: which of the seeds it began as, and its bytes."""
    rng = random.Random(f"{seed} {number}")
    which = rng.randrange(len(seeds))
    data = seeds[which]
    for _ in range(rng.randint(1, _MOST)):
        data = rng.choice(CHANGES)(data, rng.choice(seeds), rng)[:MAX_BYTES]
    return which, data


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    """Where some piece of the data begins and ends; short ones are as likely as long ones."""
    longest = 2 ** rng.randint(0, max(1, len(data).bit_length()))
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.randint(1, longest))


def _flipped(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Some bits changed."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """The end gone, or the beginning."""
    at = rng.randint(0, len(data))
    return data[:at] if rng.random() < 0.8 else data[at:]


def _without(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """A piece gone."""
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeated(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """A piece there several times."""
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _spliced(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A piece of another seed in place of one, or between."""
    (start, end), (first, last) = _span(data, rng), _span(other, rng)
    return data[:start] + other[first:last] + data[rng.choice((start, end)) :]


def _filled(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """A run of zeros, or of bytes of ones."""
    start, end = _span(data, rng)
    return data[:start] + rng.choice((b"\0", b"\xff")) * (end - start) + data[end:]


def _numbered(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """A number in text replaced by one at the edge of what programs can hold."""
    start = rng.randint(0, len(data))
    found = _NUMBER.search(data, start) or _NUMBER.search(data)
    return data[: found.start()] + rng.choice(_WORDS) + data[found.end() :] if found else data


def _measured(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """A number in binary, of any width and order of bytes, replaced by such a one, or by a little more or less."""
    width = rng.choice(list(_WIDTHS))
    if len(data) < width:
        return data
    last = len(data) - width
    at, form = rng.randint(0, min(last, _HEADER) if rng.random() < 0.5 else last), rng.choice("<>") + _WIDTHS[width]
    (value,) = struct.unpack_from(form, data, at)
    value = rng.choice(_WHOLE) if rng.random() < 0.7 else value + rng.choice((-1, 1, -16, 16, value))
    return data[:at] + struct.pack(form, value % 2 ** (8 * width)) + data[at + width :]


def _lines(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """A line gone, repeated, or in another place."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2, 200))):
        lines.insert(rng.randint(0, len(lines)), line)
    return b"".join(lines)


def _marked(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """What has a meaning in formats of text, put in somewhere."""
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(_TEXTS) + data[at:]


CHANGES: tuple[Change, ...] = (
    _flipped, _cut, _without, _repeated, _spliced, _filled, _numbered, _measured, _lines, _marked,
)  # fmt: skip
