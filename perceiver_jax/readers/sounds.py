"""Sounds that libsndfile reads: WAV and its kin, FLAC, Ogg with Vorbis or Opus, MP3."""

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.optional import package

_BLOCK = 2**20  # numbers that are decoded at once
MAX_PEAK = 10


def reads(start: bytes) -> bool:
    """Whether a file that begins so is libsndfile's."""
    if start[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return start[8:12] == b"WAVE"
    return start.startswith(
        (b"fLaC", b"OggS", b"ID3", b"FORM", b"caff", b"riff", b".snd", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")
    )


@dataclasses.dataclass
class Sound:
    """The sound of a file: mono, at its own rate."""

    data: bytes | Path
    rate: int
    length: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.length / self.rate

    def read(self, first: int, last: int) -> Float32[np.ndarray, " samples"]:
        """The samples from `first` to before `last`, fewer where the sound ends."""
        blocks = [np.zeros(0, np.float32)]
        with _opened(self.data) as file:
            if first >= file.frames:
                return blocks[0]
            file.seek(first)
            left = last - first
            while left > 0:
                block = file.read(min(left, _BLOCK // file.channels), "float32", always_2d=True)
                if not len(block):
                    break
                check_scale(block)
                blocks.append(block.mean(axis=1))
                left -= len(block)
        return np.concatenate(blocks)


def check_scale(block: np.ndarray) -> None:
    """Raises BadFile for samples that are no sound."""
    low, high = float(block.min()), float(block.max())
    if not np.isfinite(low + high):
        raise BadFile("non-finite", "holds samples that are not numbers")
    if max(-low, high) > MAX_PEAK:
        raise BadFile("scale", f"holds samples up to {max(-low, high):.3g}, where 1 is full scale")


def open_sound(data: bytes | Path) -> Sound:
    """The sound of a file; raises BadFile."""
    with _opened(data) as file:
        if not file.frames:
            raise BadFile("no-samples", "has a header and no samples")
        return Sound(data, file.samplerate, file.frames)


@contextlib.contextmanager
def _opened(data: bytes | Path) -> Iterator[Any]:
    soundfile = package("soundfile")
    with contextlib.ExitStack() as stack:
        raw = io.BytesIO(data) if isinstance(data, bytes) else stack.enter_context(data.open("rb"))
        try:
            yield stack.enter_context(soundfile.SoundFile(raw))
        except soundfile.SoundFileError as error:
            raise BadFile("damaged", f"cannot be decoded: {error}") from None
