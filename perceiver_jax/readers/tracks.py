"""The sound of a container: mono, the mean of its channels by us, each sample at its time."""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Num

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.containers import Clock, Streamed, decoded, sought, stream_of
from perceiver_jax.readers.mixing import mono
from perceiver_jax.readers.stored_samples import check_claims

_GAP = 0.015  # seconds: times are rounded, to a millisecond at the worst; more is a gap, or what overlaps
_ROUNDED = 0.002  # seconds by which a time may be off that is set right by the length of frames
_BEFORE = 0.3  # seconds that are decoded before a window: what a decoder must have heard
_FAR = 2.0  # seconds from which on seeking is worth it
_LOOKED_AT = 4  # frames that tell how the others lie
_BLOCK = 2**18  # numbers that are mixed at once
_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}


class _Form(NamedTuple):
    """How the frames of a sound lie."""

    rate: int  # as decoded: a header may say half
    anchor: int  # the sample at which the first frame ends
    length: int  # samples of each of the others; 0 where they differ


@dataclasses.dataclass(frozen=True)
class Track:
    """The sound of a container."""

    stream: Streamed

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self._form.rate

    @functools.cached_property
    def _form(self) -> _Form:
        with self._open() as (container, _):
            found = [(at, f.samples, f.sample_rate) for f, at in itertools.islice(self._frames(container), _LOOKED_AT)]
        if not found:
            raise BadFile("no-samples", "has a stream of sound without samples")
        at, length, rate = found[0]
        check_claims(1, rate)
        lengths = {samples for _, samples, _ in found[1:]}
        return _Form(rate, round(at * rate) + length, lengths.pop() if len(lengths) == 1 else 0)

    def read(self, first: int, last: int) -> Float32[np.ndarray, " samples"]:
        """The samples from `first` to before `last`, fewer where the sound ends; zeros where it has gaps. Raises BadFile."""
        begin = first / self.rate
        if begin > _FAR and self.stream.seekable:
            with self._open() as (container, _):
                can_seek = sought(self.stream, container, begin - _BEFORE)
                frames = self._placed(container, after_seek=True)
                ahead = next(frames, None) if can_seek else None
                if ahead is not None and ahead[0] <= first - _BEFORE * self.rate / 2:
                    return _window(itertools.chain([ahead], frames), first, last)
        with self._open() as (container, _):
            return _window(self._placed(container, after_seek=False), first, last)

    def _open(self) -> contextlib.AbstractContextManager[tuple[Any, Any]]:
        return stream_of(self.stream, {"err_detect": "crccheck"})

    def _placed(self, container: Any, after_seek: bool) -> Iterator[tuple[int, Any]]:
        """The frames from where the container is on, with the number of the first sample of each."""
        (rate, anchor, length), place = self._form, None
        frames = self._frames(container)
        if after_seek:
            next(frames, None)  # Matroska's encoder delay is taken from it once more
        for frame, at in frames:
            if frame.sample_rate != rate:
                raise BadFile("encoding", f"its sampling rate changes from {rate:,} to {frame.sample_rate:,} Hz")
            stamp = round(at * rate)
            if place is None or abs(stamp - place) > _GAP * rate:
                exact = anchor + round((stamp - anchor) / length) * length if after_seek and length else stamp
                place = exact if abs(exact - stamp) <= _ROUNDED * rate else stamp
            yield place, frame
            place += frame.samples

    def _frames(self, container: Any) -> Iterator[tuple[Any, float]]:
        """The decoded frames with their times."""
        clock = Clock(self.stream.zero)
        for frame in decoded(self.stream, container):
            yield frame, clock.place(frame.time, frame.samples / frame.sample_rate)


def _window(frames: Iterable[tuple[int, Any]], first: int, last: int) -> Float32[np.ndarray, " samples"]:
    """The samples from `first` to before `last` of frames that begin at some sample each."""
    window, end = np.zeros(max(0, last - first), np.float32), 0
    for at, values in _blocks(frames, last):
        low, high = max(at, first), min(at + len(values), last)
        if low < high:
            window[low - first : high - first] = values[low - at : high - at]
        end = max(end, high - first)
    return window[:end]


def _blocks(frames: Iterable[tuple[int, Any]], last: int) -> Iterator[tuple[int, Float32[np.ndarray, " samples"]]]:
    """Frames that follow one another, mixed together, with the number of the first sample, to behind `last`."""
    held: list[Any] = []
    begin = place = 0
    for at, frame in frames:
        values = _channels(frame)
        # An MP3 may change from one channel to two where it likes; its frames are mixed apart then.
        alike = held and (len(values), values.dtype) == (len(held[0]), held[0].dtype)
        if held and (at != place or not alike or len(held) * values.size > _BLOCK):
            yield begin, mono(np.concatenate(held, axis=1))
            held = []
        begin = begin if held else at
        held.append(values)
        place = at + frame.samples
        if place >= last:
            break
    if held:
        yield begin, mono(np.concatenate(held, axis=1))


def _channels(frame: Any) -> Num[np.ndarray, "channels samples"]:
    """The channels of a frame as they are decoded; PyAV's own arrays of packed ones are one long row."""
    count, kind = frame.layout.nb_channels, _TYPES[frame.format.name.removesuffix("p")]
    check_claims(count, frame.sample_rate)
    if not frame.format.is_planar:
        return np.frombuffer(frame.planes[0], kind, frame.samples * count).reshape(-1, count).T
    return np.stack([np.frombuffer(plane, kind, frame.samples) for plane in frame.planes])
