"""The frames of a film by time: upright, of square pixels, RGB of 8 bits.

On screen at a time is the last frame that began by then. The first one also stands for the time before it, in a window that
reaches it; the last one stands as long as it says. Of interlaced frames the upper field is taken, half the rows, so that
nothing is seen twice. Colours are converted as the film says; where it does not, by BT.601, of 720 rows and more by BT.709.
HDR is not toned down.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.containers import MAX_PIXELS, SEEKABLE, Streamed, container_of
from perceiver_jax.readers.opencv import opencv

Pixels = UInt8[np.ndarray, "H W 3"]
_ROUNDING = 1e-6  # seconds, beside half a tick of a container's clock
_MAX_TICK = 0.001  # seconds; an AVI counts frames, whose times are exact
_BACK = (0.5, 4.0, 32.0)  # seconds before a window to which is sought, in turn, until there is a frame to begin with
_MOST_SQUEEZED = 8  # how many times as wide as high a pixel may be, or the reverse; more is a mistake
_HIGH = 720  # rows
_UNSPECIFIED = 2  # FFmpeg's number of a colour space that is not told


class Frame(NamedTuple):
    """A decoded frame."""

    picture: Any
    begin: float  # on the recording's clock
    end: float
    squeeze: float  # how many times as wide as high its pixels are


@dataclasses.dataclass(frozen=True)
class Film:
    """The film of a container."""

    stream: Streamed
    size: tuple[int, int]  # stored width and height, of the first frame
    times: tuple[float, ...]  # of the frames, where the container does not store them

    def frames(self, start: float, count: int, rate: float, shorter_side: int | None) -> UInt8[np.ndarray, "T H W 3"]:
        """The frames on screen at start + k / rate, for k in range(count); fewer where the film ends. Raises BadFile."""
        shown: list[Pixels] = []
        shape, current, early = None, None, min(self.stream.tick, _MAX_TICK) / 2 + _ROUNDING
        for frame in self._from(start):
            if current is None:
                shape = _shape(self.size, frame, shorter_side)
                if start + (count - 1) / rate < 2 * frame.begin - frame.end:
                    break  # the film begins later
            else:
                _show(current, frame.begin - early, start, count, rate, shape, shown)
            current = frame
            if len(shown) == count:
                break
        else:
            if current is None:
                raise BadFile("no-frames", "has a stream of pictures without a frame that can be decoded")
            _show(current, current.end - early, start, count, rate, shape, shown)
        return np.stack(shown) if shown else np.zeros((0, *shape, 3), np.uint8)

    def _from(self, start: float) -> Iterator[Frame]:
        """The frames from the one on screen at `start` on, or from before it, with begin, end and shape of pixels."""
        for back in _BACK if self.stream.kind in SEEKABLE else ():
            if start - back <= self.stream.start:
                break
            frames = self._decoded(start - back)
            first = next(frames, None)
            if first is not None and first.begin <= start:
                yield first
                yield from frames
                return
        yield from self._decoded(None)

    def _decoded(self, begin: float | None) -> Iterator[Frame]:
        """The frames in the order of their times: all, or from a key frame before `begin` on, if one is found."""
        held, sought = self.stream, begin is not None
        with container_of(held.data, held.kind) as container:
            stream = container.streams[held.index]
            _check_size(stream)
            stream.codec_context.thread_count = 1
            if sought:
                container.seek(round((begin + held.zero) / stream.time_base), stream=stream)
            ratio = float(stream.sample_aspect_ratio or 1)
            squeeze = ratio if 1 / _MOST_SQUEEZED <= ratio <= _MOST_SQUEEZED else 1.0
            usual = float(1 / stream.average_rate) if stream.average_rate else 0.0
            last = held.start - usual
            for number, frame in enumerate(container.decode(stream)):
                if sought and not frame.key_frame:  # what needs frames before it
                    continue
                sought = False
                at = last + usual if frame.time is None else frame.time - held.zero
                at = self.times[number] if number < len(self.times) else at
                length = float((frame.duration or 0) * frame.time_base) or usual or max(at - last, 0.0)
                last = at
                yield Frame(frame, at, at + length, squeeze)


def _check_size(stream: Any) -> None:
    if stream.codec_context is None:
        raise BadFile("encoding", "its film is in a coding that is not read")
    width, height = stream.width, stream.height
    if width * height > MAX_PIXELS:
        raise BadFile(
            "too-large", f"has frames of {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are read"
        )
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}


def _show(frame: Frame, until: float, start: float, count: int, rate: float, shape: Any, shown: list[Pixels]) -> None:
    """Adds a frame to those that are shown, as many times as it is on screen."""
    pixels = None
    while len(shown) < count and start + len(shown) / rate < until:
        pixels = _pixels(frame, *shape) if pixels is None else pixels
        shown.append(pixels)


def _shape(size: tuple[int, int], frame: Frame, shorter_side: int | None) -> tuple[int, int]:
    """Height and width of what is made of the frames of a film of a stored size."""
    width, height = size if min(size) > 0 else (frame.picture.width, frame.picture.height)
    wide, high = max(1.0, width * frame.squeeze), float(height)
    if _turn(frame.picture)[0]:
        wide, high = high, wide
    scale = 1.0 if shorter_side is None else shorter_side / min(wide, high)
    return max(1, round(high * scale)), max(1, round(wide * scale))


def _turn(picture: Any) -> tuple[bool, int, int]:
    """How a picture is to be seen: whether rows become columns, and then the steps, 1 or -1, down and across."""
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, 1, 1
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()  # x' = a x + c y, y' = b x + d y
    swapped = abs(a) + abs(d) < abs(b) + abs(c)
    down, across = (b, c) if swapped else (d, a)
    return swapped, -1 if down < 0 else 1, -1 if across < 0 else 1


def _pixels(frame: Frame, high: int, wide: int) -> Pixels:
    """A frame as it is seen, of a height and width; of other proportions, its middle."""
    swapped, down, across = _turn(frame.picture)
    if swapped:
        high, wide = wide, high
    stored_wide, stored_high = frame.picture.width * frame.squeeze, frame.picture.height
    scale = max(wide / stored_wide, high / stored_high)
    width, height = round(stored_wide * scale), round(stored_high * scale)
    width, height = (size if size > least + 1 else least for size, least in ((width, wide), (height, high)))
    top, left = (height - high) // 2, (width - wide) // 2
    pixels = _rgb(frame.picture, width, height)[top : top + high, left : left + wide]
    return (pixels.transpose(1, 0, 2) if swapped else pixels)[::down, ::across]


def _rgb(picture: Any, width: int, height: int) -> Pixels:
    space = "ITU709" if picture.colorspace == _UNSPECIFIED and picture.height >= _HIGH else None
    field = picture.interlaced_frame and picture.height > 1
    made = (picture.width, picture.height) if field else (width, height)
    pixels = picture.reformat(*made, "rgb24", src_colorspace=space, interpolation="BILINEAR", threads=1).to_ndarray()
    return opencv().resize(pixels[::2], (width, height), interpolation=opencv().INTER_AREA) if field else pixels
