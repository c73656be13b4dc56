"""Files that hold streams of sound and film: MP4, WebM, Matroska, MPEG-TS and others, by PyAV."""

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from perceiver_jax.readers import BadFile, films
from perceiver_jax.readers.optional import package

_NEAR = 0.05  # seconds: a film that begins so much behind the sound begins the clock


def beginning(data: bytes | Path) -> bytes:
    """The first bytes of a file."""
    if isinstance(data, bytes):
        return data[:4096]
    with data.open("rb") as file:
        return file.read(4096)


@contextlib.contextmanager
def opened(data: bytes | Path) -> Iterator[Any]:
    """A container, closed behind the block; raises BadFile for what FFmpeg cannot read."""
    av = package("av")
    try:
        with av.open(io.BytesIO(data) if isinstance(data, bytes) else f"file:{data}") as container:
            for stream in container.streams:
                if stream.type in ("audio", "video"):
                    stream.codec_context.thread_count = 1
            yield container
    except av.FFmpegError as error:
        raise BadFile("damaged", f"cannot be decoded: {error.strerror}") from None


def parts(data: bytes | Path) -> "tuple[Track | None, films.Film | None, float]":
    """The sound, the film and the seconds of a container."""
    with opened(data) as container:
        ends, starts = {}, {}
        for packet in container.demux():
            if packet.pts is None or packet.is_discard:
                continue
            at = float(packet.pts * packet.time_base)
            index = packet.stream.index
            starts[index] = min(starts.get(index, at), at)
            ends[index] = max(ends.get(index, 0.0), at + float((packet.duration or 0) * packet.time_base))
        sound = next((s for s in container.streams.audio if s.index in ends), None)
        moving = [s for s in container.streams.video if s.index in ends and not s.disposition & 1024]
        film = max(moving, key=lambda s: s.width * s.height, default=None)
        used = [s.index for s in (sound, film) if s is not None]
        if not used:
            raise BadFile("no-samples", "holds neither sound nor film")
        origin = max(0.0, min(starts[i] for i in used))
        if film is not None and max(0, starts[film.index]) - origin <= _NEAR:
            origin = max(0.0, starts[film.index])
        seconds = max(ends[i] for i in used) - origin
        track = None if sound is None else Track(data, sound.index, sound.rate, origin)
        return track, None if film is None else films.Film(data, film.index, origin, opened), seconds


@dataclasses.dataclass
class Track:
    """The sound of a container: mono, at its own rate."""

    data: bytes | Path
    index: int
    rate: int
    origin: float

    def read(self, first: int, last: int) -> Float32[np.ndarray, " samples"]:
        """The samples from `first` to before `last`, fewer where the sound ends."""
        window, end = np.zeros(max(0, last - first), np.float32), 0
        with opened(self.data) as container:
            at = None
            for frame in container.decode(container.streams[self.index]):
                values = _mono(frame)
                stamp = round((frame.time - self.origin) * self.rate) if frame.time is not None else at or 0
                at = stamp if at is None or abs(stamp - at) > 0.015 * self.rate else at
                low, high = max(at, first), min(at + len(values), last)
                if high > low:
                    window[low - first : high - first] = values[low - at : high - at]
                    end = max(end, high - first)
                at += len(values)
                if at >= last:
                    break
        return window[:end]


def _mono(frame: Any) -> Float32[np.ndarray, " samples"]:
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        values = (values.astype(np.float32) - 128) / 128
    elif values.dtype.kind == "i":
        values = values.astype(np.float32) / -float(np.iinfo(values.dtype).min)
    return values.mean(axis=0, dtype=np.float32)
