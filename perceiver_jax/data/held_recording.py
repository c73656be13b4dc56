"""A recording held in memory, of sources that make their own."""

import math

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.readers.opencv import reduced
from perceiver_jax.readers.recordings import Recording
from perceiver_jax.readers.resampling import resampled_window

_ROUNDING = 1e-6  # of a frame


class HeldRecording(Recording):
    """A `Recording` of samples, mono, at `sound_rate` and of frames, `frame_rate` a second; a stream may be absent."""

    def __init__(
        self,
        sound: Float32[np.ndarray, " samples"] | None,
        sound_rate: int,
        frames: UInt8[np.ndarray, "T H W 3"] | None,
        frame_rate: float,
    ):
        self._sound, self._sound_rate, self._frames, self._frame_rate = sound, sound_rate, frames, frame_rate

    @property
    def seconds(self) -> float:
        """The length of the longest stream."""
        of_sound = 0.0 if self._sound is None else len(self._sound) / self._sound_rate
        return max(of_sound, 0.0 if self._frames is None else len(self._frames) / self._frame_rate)

    def sound(self, start: float, seconds: float, rate: int) -> Float32[np.ndarray, " samples"] | None:
        """As `Recording` has it."""
        if self._sound is None:
            return None
        read = lambda first, end: self._sound[first:end]  # noqa: E731
        return resampled_window(read, self._sound_rate, round(start * rate), round(seconds * rate), rate)

    def frames(self, start: float, count: int, rate: float, shorter_side: int | None) -> UInt8[np.ndarray, "T H W 3"] | None:
        """As `Recording` has it; frames that are smaller stay as they are."""
        if self._frames is None:
            return None
        wanted = [math.floor((start + k / rate) * self._frame_rate + _ROUNDING) for k in range(count)]
        there = self._frames[[number for number in wanted if number < len(self._frames)]]
        return np.stack([reduced(one, shorter_side) for one in there]) if len(there) else there
