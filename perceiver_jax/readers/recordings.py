"""Recordings: the sound and the film of one file, read a window at a time, on one clock."""

import functools
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.readers import BadFile, containers, films, sounds, stand_ins
from perceiver_jax.readers.resampling import resampled_window

# By what people call their files. A file is read by what it holds, whatever its name says.
SOUNDS = tuple(
    ".wav .wave .flac .ogg .oga .opus .mp3 .m4a .m4b .aac .mka .aif .aiff .aifc .caf .au .w64 .rf64 .wma .ac3 .weba".split()
)
FILMS = tuple(".mp4 .m4v .mov .webm .mkv .avi .ts .mts .m2ts .mpg .mpeg .flv .wmv .3gp .ogv".split())


class Recording(ABC):
    """Sound and film of one recording, on one clock that begins at 0."""

    @property
    @abstractmethod
    def seconds(self) -> float:
        """Its length: that of its longest stream."""

    @abstractmethod
    def sound(self, start: float, seconds: float, rate: int) -> Float32[np.ndarray, " samples"] | None:
        """Mono, the mean of the channels, +-1, at `rate`: the samples from `start` on, at most round(seconds * rate).

        Fewer where the recording's sound ends earlier; times before it begins are zeros. None where there is no sound.
        """

    @abstractmethod
    def frames(self, start: float, count: int, rate: float, shorter_side: int | None) -> UInt8[np.ndarray, "T H W 3"] | None:
        """The frames on screen at start + k / rate, upright, of square pixels, RGB; fewer where the film ends.

        The shorter side is resized to `shorter_side`; None: as it is. None where there is no film.
        """


class FileRecording(Recording):
    """A user's file as a `Recording`: opened in each call, closed behind it, and picklable. Every call can raise BadFile."""

    def __init__(self, data: bytes | Path):
        self._data = data

    @functools.cached_property
    def _parts(self) -> "tuple[sounds.Sound | None, films.Film | None, float]":
        start = containers.beginning(self._data)
        if not start:
            raise BadFile("empty-file", "has no bytes")
        stand_ins.check(start)
        if sounds.reads(start):
            found = sounds.open_sound(self._data)
            return found, None, found.seconds
        return containers.parts(self._data)

    @property
    def seconds(self) -> float:
        """The length of the longest stream."""
        return self._parts[2]

    @property
    def sound_rate(self) -> int | None:
        """The rate at which its sound is stored, in samples a second; None where there is none."""
        return None if self._parts[0] is None else self._parts[0].rate

    def sound(self, start: float, seconds: float, rate: int) -> Float32[np.ndarray, " samples"] | None:
        """As `Recording` has it."""
        found = self._parts[0]
        if found is None:
            return None
        return resampled_window(found.read, found.rate, round(start * rate), round(seconds * rate), rate)

    def frames(self, start: float, count: int, rate: float, shorter_side: int | None) -> UInt8[np.ndarray, "T H W 3"] | None:
        """As `Recording` has it."""
        found = self._parts[1]
        return None if found is None else found.frames(start, count, rate, shorter_side)
