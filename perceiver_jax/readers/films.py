"""The frames of a film by time.

On screen at a time is the last frame that began by then. The first one also stands for the time before it, in a window that
reaches it; the last one stands as long as it says.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.containers import MAX_PIXELS, Clock, Streamed, decoded, sought, stream_of
from perceiver_jax.readers.screens import Frame, Pixels, Screen

Number = float | int  # type checks take each by the word
_MAX_TICK = 0.001  # seconds to which a container's times are rounded; an AVI counts frames, whose times are exact
_ROUNDING = 1e-6  # seconds, beside half a tick
_BACK = (0.5, 4.0, 32.0)  # seconds before a window to which is sought, in turn, until there is a frame to begin with
_MOST_SQUEEZED = 8  # how many times as wide as high a pixel may be, or the reverse; more is a mistake


@dataclasses.dataclass(frozen=True)
class Film:
    """The film of a container."""

    stream: Streamed
    size: tuple[int, int]  # stored width and height, of the first frame
    times: tuple[float, ...]  # of the frames, where the container does not store them

    def frames(self, start: Number, count: int, rate: Number, shorter_side: int | None) -> UInt8[np.ndarray, "T H W 3"]:
        """The frames on screen at start + k / rate, for k in range(count); fewer where the film ends. Raises BadFile."""
        times = start + np.arange(count) / rate
        begins = [start - back for back in _BACK] if self.stream.seekable else []
        for begin in (*(begin for begin in begins if begin > self.stream.start), None):
            with stream_of(self.stream, {"max_pixels": str(MAX_PIXELS)}) as (container, stream):
                _check_size(stream)
                frames = self._decoded(container, stream, begin)
                first = next(frames, None)
                if begin is None and first is None:
                    raise BadFile("no-frames", "has a stream of pictures without a frame that can be decoded")
                if begin is None or (first is not None and first.begin <= start):
                    return self._on_screen(first, frames, times, shorter_side)
        raise AssertionError("the last begin is None")

    def _on_screen(
        self, first: Frame, others: Iterator[Frame], times: Float64[np.ndarray, " count"], shorter_side: int | None
    ) -> UInt8[np.ndarray, "T H W 3"]:
        screen, shown = Screen(self.size, first, shorter_side), []
        early = min(self.stream.tick, _MAX_TICK) / 2 + _ROUNDING
        if len(times) and times[-1] >= 2 * first.begin - first.end:  # else the film begins later
            current = first
            for frame in others:
                _show(current, frame.begin - early, times, screen, shown)
                current = frame
                if len(shown) == len(times):
                    break
            _show(current, current.end - early, times, screen, shown)
        return np.stack(shown) if shown else np.zeros((0, *screen.shape, 3), np.uint8)

    def _decoded(self, container: Any, stream: Any, begin: float | None) -> Iterator[Frame]:
        """The frames in the order of their times: all, or from a key frame before `begin` on, if one is found."""
        held, awaits_key = self.stream, begin is not None
        if begin is not None and not sought(held, container, begin):
            return
        ratio = float(stream.sample_aspect_ratio or 1)
        squeeze = ratio if 1 / _MOST_SQUEEZED <= ratio <= _MOST_SQUEEZED else 1.0
        usual = float(1 / stream.average_rate) if stream.average_rate else 0.0
        clock = Clock(held.zero)
        for number, picture in enumerate(decoded(held, container)):
            if awaits_key and not picture.key_frame:  # what needs frames before it
                continue
            awaits_key = False
            length = float((picture.duration or 0) * picture.time_base) or usual
            at = clock.place(picture.time, length)
            at = self.times[number] if number < len(self.times) else at
            yield Frame(picture, at, at + length, squeeze)


def _check_size(stream: Any) -> None:
    width, height = stream.width, stream.height
    if width * height > MAX_PIXELS:
        raise BadFile("too-large", f"has frames of {width} x {height} pixels; at most {MAX_PIXELS:,} are read")


def _show(frame: Frame, until: float, times: Float64[np.ndarray, " count"], screen: Screen, shown: list[Pixels]) -> None:
    """Adds a frame to those that are shown, as many times as it is on screen."""
    pixels = None
    while len(shown) < len(times) and times[len(shown)] < until:
        pixels = screen.shown(frame) if pixels is None else pixels
        shown.append(pixels)
