"""The sound of a container: mono, the mean of its channels by us, each sample at its time."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.containers import SEEKABLE, Streamed, container_of
from perceiver_jax.readers.scale import check_scale
from perceiver_jax.readers.stored_samples import check_claims

_GAP = 0.015  # seconds: times are rounded, to a millisecond at the worst; more is a gap, or what overlaps
_BEFORE = 0.3  # seconds that are decoded before a window: what a decoder must have heard
_FAR = 2.0  # seconds from which on seeking is worth it
_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}


@dataclasses.dataclass(frozen=True)
class Track:
    """The sound of a container."""

    stream: Streamed

    @property
    def seconds(self) -> float:
        """When it ends."""
        return self.stream.end

    @functools.cached_property
    def _form(self) -> tuple[int, int, int]:
        """The rate, as decoded; where the first frame ends and how long the second is, 0 where they differ in length."""
        found = []
        for frame, at in self._frames(None):
            found.append((at, frame.samples, frame.sample_rate))
            if len(found) == 4:
                break
        if not found:
            raise BadFile("no-samples", "has a stream of sound without samples")
        at, length, rate = found[0]
        check_claims(1, rate)
        lengths = {samples for _, samples, _ in found[1:]}
        return rate, round(at * rate) + length, lengths.pop() if len(lengths) == 1 else 0

    @property
    def rate(self) -> int:
        """Samples a second, as they are decoded: a header may say half."""
        return self._form[0]

    def read(self, first: int, last: int) -> Float32[np.ndarray, " samples"]:
        """The samples from `first` to before `last`, fewer where the sound ends; zeros where it has gaps. Raises BadFile."""
        window, end = np.zeros(max(0, last - first), np.float32), 0
        for at, values in self._samples(first):
            low, high = max(at, first), min(at + len(values), last)
            if low < high:
                window[low - first : high - first] = values[low - at : high - at]
            end = max(end, high - first)
            if at + len(values) >= last:
                break
        return window[:end]

    def _samples(self, first: int) -> Iterator[tuple[int, Float32[np.ndarray, " samples"]]]:
        """The sound in pieces, with the number of the first sample of each, from `first` or before on."""
        rate, anchor, length = self._form
        begin = first / rate
        places: Any = None
        if begin > _FAR and self.stream.kind in SEEKABLE:
            places = self._placed(begin - _BEFORE, anchor, length)
            ahead = next(places, None)
            if ahead is not None and ahead[0] <= max(first - _BEFORE * rate / 2, 0):
                yield ahead
                yield from places
                return
        yield from self._placed(None, anchor, length)

    def _placed(
        self, begin: float | None, anchor: int, length: int
    ) -> Iterator[tuple[int, Float32[np.ndarray, " samples"]]]:
        rate, place = self.rate, None
        frames = self._frames(begin)
        if begin is not None:
            next(frames, None)  # Matroska's encoder delay is taken from it once more
        for frame, at in frames:
            if frame.sample_rate != rate:
                raise BadFile("encoding", f"its sampling rate changes from {rate:,} to {frame.sample_rate:,} Hz")
            stamp = round(at * rate)
            if place is None or abs(stamp - place) > _GAP * rate:
                place = stamp
                if begin is not None and length:  # a rounded time: frames of one length have exact ones
                    exact = anchor + round((stamp - anchor) / length) * length
                    place = exact if abs(exact - stamp) <= 0.002 * rate else stamp
            yield place, _mono(frame)
            place += frame.samples

    def _frames(self, begin: float | None) -> Iterator[tuple[Any, float]]:
        """The decoded frames with their times, from before `begin` on, or all."""
        held = self.stream
        with container_of(held.data, held.kind) as container:
            stream = container.streams[held.index]
            if stream.codec_context is None:
                raise BadFile("encoding", "its sound is in a coding that is not read")
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"err_detect": "crccheck"}
            if begin is not None:
                container.seek(round((begin + held.zero) / stream.time_base), stream=stream)
            end = held.start
            for frame in container.decode(stream):
                at = end if frame.time is None else frame.time - held.zero
                end = at + frame.samples / frame.sample_rate
                yield frame, at


def _mono(frame: Any) -> Float32[np.ndarray, " samples"]:
    """The mean of the channels of a frame, its full scale 1."""
    channels = frame.layout.nb_channels
    check_claims(channels, frame.sample_rate)
    kind = _TYPES[frame.format.name.removesuffix("p")]
    if frame.format.is_planar:
        values = np.stack([np.frombuffer(plane, kind, frame.samples) for plane in frame.planes])
    else:
        values = np.frombuffer(frame.planes[0], kind, frame.samples * channels).reshape(-1, channels).T
    return mean_of(values)


def mean_of(values: np.ndarray) -> Float32[np.ndarray, " samples"]:
    """The mean of channels, (channels, samples), of any type, its full scale 1."""
    if values.dtype.kind == "f":
        check_scale(values)
        return values[0] if len(values) == 1 and values.dtype == np.float32 else values.mean(axis=0).astype(np.float32)
    middle = 128.0 if values.dtype == np.uint8 else 0.0
    full = 128.0 if values.dtype == np.uint8 else -float(np.iinfo(values.dtype).min)
    mixed: Float[np.ndarray, " samples"] = values.mean(axis=0, dtype=np.float64) if len(values) > 1 else values[0]
    return ((mixed - middle) / full).astype(np.float32)
