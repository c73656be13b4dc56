"""Soundfonts (SoundFont 2.01, a RIFF file): which recordings an instrument plays for a key, and the note made of them.

A note is the recording at another rate, repeated between its loop's ends where it is to be played on. Envelopes, filters,
modulators and balance are left out.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int16

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.optional import package
from perceiver_jax.readers.resampling import QUALITY
from perceiver_jax.readers.stored_samples import MAX_RATE, chunks

# Generators, by their numbers in the specification.
_OFFSETS, _COARSE_OFFSETS = (0, 1, 2, 3), (4, 12, 45, 50)  # of start, end, loop's start and its end; coarse: of 32,768
_INSTRUMENT, _KEYS, _VELOCITIES, _COARSE_TUNING, _FINE_TUNING = 41, 43, 44, 51, 52
_SAMPLE, _MODE, _SCALE, _ROOT = 53, 54, 56, 58
_LOOPED = (1, 3)  # modes
_NO_KEY = 255
_MAX_CENTS, _MIN_RATE, _MAX_RATE = 12_800, 50, 16 * MAX_RATE  # rates: at which recordings are played, in Hz
_UNSIGNED = {_INSTRUMENT, _KEYS, _VELOCITIES, _SAMPLE, _MODE}
_NAME = "S20"
_TABLES = {
    b"phdr": [("name", _NAME), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")],
    b"pbag": [("generator", "<u2"), ("modulator", "<u2")],
    b"pgen": [("kind", "<u2"), ("amount", "<i2")],
    b"inst": [("name", _NAME), ("bag", "<u2")],
    b"ibag": [("generator", "<u2"), ("modulator", "<u2")],
    b"igen": [("kind", "<u2"), ("amount", "<i2")],
    b"shdr": [
        ("name", _NAME),
        ("ends", "<u4", 4),  # start, end, loop's start and its end, in samples of the file
        ("rate", "<u4"),
        ("key", "u1"),
        ("cents", "i1"),
        ("link", "<u2"),
        ("type", "<u2"),
    ],
}
_IN_ROM = 0x8000  # a type of recordings that are not in the file

Zone = Mapping[int, int]  # a generator's amount by its number


class Recorded(NamedTuple):
    """A recording as one key plays it."""

    start: int  # in samples of the file
    end: int
    loop: tuple[int, int] | None  # None: it is played once
    rate: float  # at which its samples give the key's pitch


class SoundFont(NamedTuple):
    """What a soundfont holds."""

    samples: Int16[np.ndarray, " samples"]  # of all recordings in a row
    presets: Mapping[tuple[int, int], Sequence[Zone]]  # by bank and program
    instruments: Sequence[Sequence[Zone]]
    headers: np.ndarray  # of the recordings: _TABLES[b"shdr"]

    def recorded(self, bank: int, program: int, key: int, velocity: int) -> list[Recorded]:
        """What is heard of a key, all at once; nothing where there is no such program or it lacks the key."""
        found = []
        for outer in self.presets.get((bank, program), ()):
            if not _plays(outer, key, velocity):
                continue
            for inner in self.instruments[outer[_INSTRUMENT]]:
                if _plays(inner, key, velocity) and not self.headers["type"][inner[_SAMPLE]] & _IN_ROM:
                    found.append(self._of_zones(outer, inner, key))
        return found

    def note(
        self, bank: int, program: int, key: int, velocity: int, seconds: float, rate: int
    ) -> Float32[np.ndarray, " samples"] | None:
        """A key's sound, mono, +-1, `round(seconds * rate)` samples at most; None where nothing is heard of it.

        Fewer where a recording that is not looped ends.
        """
        parts = [self._resampled(one, seconds, rate) for one in self.recorded(bank, program, key, velocity)]
        whole = np.zeros(max(map(len, parts), default=0), np.float32)
        for part in parts:
            whole[: len(part)] += part / np.float32(len(parts))
        return whole if parts else None

    def _of_zones(self, outer: Zone, inner: Zone, key: int) -> Recorded:
        header = self.headers[inner[_SAMPLE]]
        number = int(inner[_SAMPLE])
        moved = [
            int(place) + _amount(inner, fine) + 32_768 * _amount(inner, coarse)
            for place, fine, coarse in zip(header["ends"], _OFFSETS, _COARSE_OFFSETS, strict=True)
        ]
        start, end, first, last = moved
        if not 0 <= start < end <= len(self.samples):
            found = f"{start:,} to {end:,} of {len(self.samples):,}"
            raise BadFile("counts", f"recording {number} is of samples {found}")
        looped = _amount(inner, _MODE) & 3 in _LOOPED and start <= first < last <= end
        root = _amount(inner, _ROOT, -1)
        root = root if root >= 0 else int(header["key"]) if header["key"] != _NO_KEY else 60
        cents = _amount(inner, _SCALE, 100) * (key - root) + int(header["cents"])
        cents += sum(100 * _amount(zone, _COARSE_TUNING) + _amount(zone, _FINE_TUNING) for zone in (outer, inner))
        rate = int(header["rate"]) * 2 ** (cents / 1200) if abs(cents) <= _MAX_CENTS else math.inf
        if not _MIN_RATE <= rate <= _MAX_RATE:
            raise BadFile("rate", f"recording {number} is to be played {cents / 100:,g} semitones from where it was made")
        return Recorded(start, end, (first, last) if looped else None, rate)

    def _resampled(self, recorded: Recorded, seconds: float, rate: int) -> Float32[np.ndarray, " samples"]:
        wanted = math.ceil(seconds * recorded.rate) + 1
        stored = self.samples[recorded.start : min(recorded.end, recorded.start + wanted)]
        if recorded.loop is not None and wanted > recorded.loop[1] - recorded.start:
            first, last = (place - recorded.start for place in recorded.loop)
            places = np.arange(wanted)
            places[last:] = first + (places[last:] - first) % (last - first)
            stored = self.samples[recorded.start + places]
        sound = stored.astype(np.float32) / np.float32(2**15)
        if round(recorded.rate) != rate:
            sound = package("soxr").resample(sound, recorded.rate, rate, quality=QUALITY)
        return sound[: round(seconds * rate)]


def read_soundfont(data: bytes) -> SoundFont:
    """The soundfont in a file's bytes; raises BadFile."""
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise BadFile("not-a-soundfont", "is not a soundfont: it does not begin with RIFF and sfbk")
    found: dict[bytes, tuple[int, int]] = {}
    for name, offset, length in _chunks(data):
        if name == b"LIST":
            for inner, at, size in _chunks(data[offset - 8 : offset + length]):
                found[inner] = offset - 8 + at, size
    missing = [name.decode() for name in (b"smpl", *_TABLES) if name not in found]
    if missing:
        raise BadFile("no-samples", f"has no part {', '.join(missing)}")
    offset, length = found[b"smpl"]
    samples = np.frombuffer(data, "<i2", length // 2, offset)
    tables = {name: _table(data, name, *found[name]) for name in _TABLES}
    instruments = _zones(tables[b"inst"], tables[b"ibag"], tables[b"igen"], _SAMPLE, len(tables[b"shdr"]) - 1)
    presets = _zones(tables[b"phdr"], tables[b"pbag"], tables[b"pgen"], _INSTRUMENT, len(instruments))
    numbers = [(int(row["bank"]), int(row["program"])) for row in tables[b"phdr"][:-1]]
    return SoundFont(samples, dict(zip(numbers, presets, strict=True)), instruments, _checked(tables[b"shdr"], len(samples)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The parts of a file, or of a list in it with its head: both have twelve bytes in front."""
    return chunks(io.BytesIO(data), len(data), "<")


def _table(data: bytes, name: bytes, offset: int, length: int) -> np.ndarray:
    """The rows of a part, the last of which ends it."""
    form = np.dtype(_TABLES[name])
    if length % form.itemsize or length < form.itemsize:
        raise BadFile("counts", f"its part {name.decode()} has {length:,} bytes, not a multiple of {form.itemsize}")
    return np.frombuffer(data, form, length // form.itemsize, offset)


def _zones(owners: np.ndarray, bags: np.ndarray, generators: np.ndarray, kind: int, most: int) -> list[list[Zone]]:
    """Of each preset or instrument its zones, each with what the global one, the first, says of all of them.

    `kind` is the generator that names an instrument or a recording, of which there are `most`.
    """
    for starts, most_starts, what in (
        (owners["bag"], len(bags) - 1, "zones"),
        (bags["generator"], len(generators), "generators"),
    ):
        if (np.diff(starts.astype(int)) < 0).any() or starts[-1] > most_starts:
            raise BadFile("counts", f"its {what} are not in a row, or more than there are")
    found = []
    for first, end in zip(owners["bag"][:-1].tolist(), owners["bag"][1:].tolist(), strict=True):
        every: dict[int, int] = {}
        zones = []
        for place in range(first, end):
            rows = generators[bags["generator"][place] : bags["generator"][place + 1]]
            zone = {int(row["kind"]): _signed(row) for row in rows}
            if kind not in zone:
                every = zone if place == first else every
                continue
            if zone[kind] >= most:
                raise BadFile("counts", f"a zone is of number {zone[kind]:,} of {most:,}")
            zones.append({**every, **zone})
        found.append(zones)
    return found


def _signed(row: np.void) -> int:
    amount = int(row["amount"])
    return amount & 0xFFFF if row["kind"] in _UNSIGNED else amount


def _checked(headers: np.ndarray, num_samples: int) -> np.ndarray:
    """The recordings' headers, without the one that ends them; raises BadFile where one is not in the file."""
    headers = headers[:-1]
    inside = headers["type"] & _IN_ROM == 0
    start, end = headers["ends"][:, 0], headers["ends"][:, 1]
    for number in np.flatnonzero(inside & ((end > num_samples) | (start > end) | _odd(headers["rate"])))[:1]:
        found = f"{start[number]:,} to {end[number]:,} at {headers['rate'][number]:,} Hz"
        raise BadFile("counts", f"recording {number} claims samples {found}; {num_samples:,} samples are there")
    return headers


def _odd(rates: np.ndarray) -> np.ndarray:
    return (rates == 0) | (rates > MAX_RATE)


def _plays(zone: Zone, key: int, velocity: int) -> bool:
    return _within(zone, _KEYS, key) and _within(zone, _VELOCITIES, velocity)


def _within(zone: Zone, kind: int, value: int) -> bool:
    """Whether a value is in a zone's range: its lowest in the lower byte, its highest in the upper one."""
    return kind not in zone or zone[kind] & 0xFF <= value <= zone[kind] >> 8


def _amount(zone: Zone, kind: int, default: int = 0) -> int:
    return zone.get(kind, default)
