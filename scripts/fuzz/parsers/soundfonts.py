"""Soundfonts, as the notes that are made of them read them."""

import struct
from pathlib import Path

import numpy as np

from perceiver_jax import readers
from perceiver_jax.readers.sf2 import read_soundfont
from scripts.fuzz.parser import Parser

_RATE, _COUNT = 8000, 400
_INSTRUMENT, _KEYS, _SAMPLE, _MODE, _FINE = 41, 43, 53, 54, 52
_NOTES = ((60, 100), (72, 1), (0, 127))  # keys and velocities


class SoundFonts(Parser):
    """One of a single tone, and one of zones that set what is played how."""

    what = "soundfonts"
    packages = ("soxr",)

    def make(self) -> dict[str, bytes]:
        """Files of a kB."""
        return {
            "plain.sf2": _soundfont([(_SAMPLE, 0)]),
            "looped.sf2": _soundfont([(_KEYS, 127 << 8), (_FINE, 20), (_MODE, 1), (_SAMPLE, 0)]),
        }

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """Read, and some notes played."""
        with readers.named("soundfont", name):
            font = read_soundfont(data)
            for key, velocity in _NOTES:
                font.note(0, 0, key, velocity, 0.1, 16_000)


def _chunk(name: bytes, contents: bytes) -> bytes:
    return name + struct.pack("<I", len(contents)) + contents + b"\0" * (len(contents) % 2)


def _soundfont(zone: list[tuple[int, int]]) -> bytes:
    """A file of one preset with one instrument, which has one zone."""
    samples = np.sin(np.arange(_COUNT) / 3) * 2**14
    end = struct.pack("<20s5IBbHH", b"EOS", *[0] * 5, 60, 0, 0, 0)
    tables = {
        b"phdr": struct.pack("<20s3H12x", b"p", 0, 0, 0) + struct.pack("<20s3H12x", b"EOP", 0, 0, 1),
        b"pbag": struct.pack("<4H", 0, 0, 1, 0),
        b"pmod": bytes(10),
        b"pgen": struct.pack("<2H", _INSTRUMENT, 0) + bytes(4),
        b"inst": struct.pack("<20sH", b"i", 0) + struct.pack("<20sH", b"EOI", 1),
        b"ibag": struct.pack("<4H", 0, 0, len(zone), 0),
        b"imod": bytes(10),
        b"igen": b"".join(struct.pack("<2H", *pair) for pair in zone) + bytes(4),
        b"shdr": struct.pack("<20s5IBbHH", b"a", 0, _COUNT, 100, 300, _RATE, 60, 0, 0, 1) + end,
    }
    pdta = b"pdta" + b"".join(_chunk(name, rows) for name, rows in tables.items())
    sdta = b"sdta" + _chunk(b"smpl", samples.astype("<i2").tobytes())
    lists = _chunk(b"LIST", b"INFO") + _chunk(b"LIST", sdta) + _chunk(b"LIST", pdta)
    return _chunk(b"RIFF", b"sfbk" + lists)


MEMBER = SoundFonts
