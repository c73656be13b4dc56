"""Recordings: the sound and the film of one file, read a window at a time, on one clock.

The clock begins with whichever begins first, sound or film; with the film where the sound begins less than 0.05 s before it.
"""

import dataclasses
import functools
import math
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.readers import BadFile, container_streams, containers, cut_films, media_bytes, sounds
from perceiver_jax.readers.films import Film, Number
from perceiver_jax.readers.resampling import resampled_window
from perceiver_jax.readers.tracks import Track

# By what people call their files. A file is read by what it holds, whatever its name says.
_MORE_SOUNDS = ".aif .aiff .aifc .caf .au .snd .w64 .rf64 .wma .amr .ac3 .mp2 .wv .ape .tta"
SOUNDS = tuple(f".wav .wave .flac .ogg .oga .opus .mp3 .m4a .m4b .aac .mka .weba {_MORE_SOUNDS}".split())
FILMS = tuple(".mp4 .m4v .mov .webm .mkv .avi .ts .mts .m2ts .mpg .mpeg .vob .flv .wmv .asf .3gp .3g2 .ogv".split())

_NOTES = {
    "streamed-header": "does not say how long it is; all that is there is read",
    "other-length": "says another length than it has; all that is there is read",
    "cut-off": "breaks off; what is there is read",
    "joined": "is several recordings one behind the other; all are read",
}


class Recording(ABC):
    """Sound and film of one recording, on one clock that begins at 0."""

    @property
    @abstractmethod
    def seconds(self) -> float:
        """Its length: that of its longest stream."""

    @abstractmethod
    def sound(self, start: Number, seconds: Number, rate: int) -> Float32[np.ndarray, " samples"] | None:
        """Mono, the mean of the channels, +-1, at `rate`: the samples from `start` on, at most round(seconds * rate).

        Fewer where the recording's sound ends earlier; times before it begins are zeros. None where there is no sound.
        """

    @abstractmethod
    def frames(
        self, start: Number, count: int, rate: Number, shorter_side: int | None
    ) -> UInt8[np.ndarray, "T H W 3"] | None:
        """The frames on screen at start + k / rate, upright, of square pixels, RGB; fewer where the film ends.

        Where the shorter side is longer than `shorter_side`, frames are reduced to it. None where there is no film.
        """


@dataclasses.dataclass(frozen=True)
class _Counted:
    """An MP3: as long as libsndfile counts it, less the encoder's filling, but read by PyAV, which seeks without a word."""

    seconds: float
    track: Track

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self.track.rate

    def read(self, first: int, last: int) -> Float32[np.ndarray, " samples"]:
        """As a track has it."""
        return self.track.read(first, last)


class FileRecording(Recording):
    """A user's file as a `Recording`: opened in each call, closed behind it, and picklable.

    Every call, and the properties, raise BadFile for a file that is not read, and Failure where a package is missing.
    """

    def __init__(self, data: bytes | Path):
        self._data = data

    @functools.cached_property
    def _parts(self) -> tuple[sounds.Sound | _Counted | Track | None, Film | None, float, tuple[str, ...]]:
        """The sound, the film, the seconds and the notes."""
        kind = media_bytes.kind_of(self._data) or containers.format_of(self._data)
        sound, notes, coding = sounds.open_sound(self._data, kind)
        if kind == "mp3" and sound is not None:
            track = Track(container_streams.streams_of(self._data, kind, has_index=False).sound)
            return _Counted(sound.seconds, track), None, sound.seconds, notes
        if sound is not None:
            return sound, None, sound.seconds, notes
        has_index = cut_films.check_whole(self._data, kind)
        try:
            found = container_streams.streams_of(self._data, kind, has_index)
        except BadFile as bad:
            raise BadFile("encoding", f"is in the coding {coding}, which is not read") if coding else bad from None
        sound = None if found.sound is None else Track(found.sound)
        film = None if found.film is None else Film(found.film, found.size, found.times)
        return sound, film, found.seconds, (*notes, "joined") if found.joined else notes

    @property
    def seconds(self) -> float:
        """The length of the longest stream."""
        return self._parts[2]

    @property
    def sound_rate(self) -> int | None:
        """The rate at which the sound is stored; None where there is none."""
        return None if self._parts[0] is None else self._parts[0].rate

    @property
    def notes(self) -> tuple[str, ...]:
        """In codes, what a user should know of the file.

        `streamed-header`, `other-length` than its header says, `cut-off`, `joined` of several.
        """
        return self._parts[3]

    def remarks(self, rate: int | None) -> dict[str, str]:
        """What a user should know of the file whose sound is read at a `rate`, by code, in words that follow its name."""
        words = {code: _NOTES[code] for code in self.notes}
        if rate is not None and self.sound_rate is not None and self.sound_rate < rate:
            words["lower-rate"] = f"has {self.sound_rate:,} samples a second, resampled to {rate:,}"
        return words

    def sound(self, start: Number, seconds: Number, rate: int) -> Float32[np.ndarray, " samples"] | None:
        """As `Recording` has it."""
        found = self._parts[0]
        if found is None:
            return None
        first = round(start * rate)
        count = min(round(seconds * rate), math.ceil((self.seconds + 1) * rate) - first)
        return resampled_window(found.read, found.rate, first, max(0, count), rate)

    def frames(
        self, start: Number, count: int, rate: Number, shorter_side: int | None
    ) -> UInt8[np.ndarray, "T H W 3"] | None:
        """As `Recording` has it."""
        found = self._parts[1]
        if found is None:
            return None
        return found.frames(start, count, rate, shorter_side) if count else np.zeros((0, 1, 1, 3), np.uint8)
