"""Which sound and which film a container holds, from when to when."""

import dataclasses
import math
from typing import Any

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.containers import Clock, Streamed, container_of, packets
from perceiver_jax.readers.media_bytes import Data
from perceiver_jax.readers.optional import package

# Where a time is exact wherever one begins to read; the others are decoded from their start.
_SEEKABLE = ("mov", "matroska", "mpegts")
_NO_STORED_TIMES = "avi"  # of pictures: they follow one another
_STILLS = ("mjpeg", "png", "bmp", "gif", "webp", "jpeg2000", "tiff")  # codecs of covers
_NEAR = 0.05  # seconds: a film that begins so little behind the sound begins the clock
_FAR = 0.2  # seconds: FFmpeg's guess of a stream's start may differ from its first packet by this much


@dataclasses.dataclass(frozen=True)
class Streams:
    """The sound and the film of a container, and its seconds."""

    sound: Streamed | None
    film: Streamed | None
    size: tuple[int, int]  # of the film's frames: width, height
    times: tuple[float, ...]  # of the film's frames in a container that does not store them
    seconds: float
    joined: bool  # whether its clock starts again partway


@dataclasses.dataclass
class _Extent:
    """The packets of a stream, all together."""

    count: int = 0
    start: float = math.inf
    end: float = 0.0
    clock: Clock = dataclasses.field(default_factory=lambda: Clock(0.0))
    stamps: list[float] = dataclasses.field(default_factory=list)  # of decoding


def streams_of(data: Data, kind: str, has_index: bool) -> Streams:
    """What is in a container, by an index that it has, or else by its packets; raises BadFile.

    Other headers tell lengths that are not so, and of streams that hold nothing.
    """
    with container_of(data, kind) as container:
        extents = {stream.index: _Extent() for stream in container.streams}
        if not (has_index and _indexed(container.streams, extents)):
            for packet in packets(container):
                _add(extents[packet.stream_index], packet, keep=kind == _NO_STORED_TIMES)
        sound, film = _chosen(container.streams, extents)
        used = [stream for stream in (sound, film) if stream is not None]
        if not used:
            raise BadFile("no-samples", "holds neither sound nor film")
        starts = {stream.index: _start(stream, extents[stream.index]) for stream in used}
        zero = min(starts.values())
        if film is not None and starts[film.index] - zero <= _NEAR:
            zero = starts[film.index]
        ends = {stream.index: extents[stream.index].end for stream in used}
        parts = [
            None
            if stream is None
            else Streamed(
                data,
                kind,
                stream.index,
                zero,
                starts[stream.index] - zero,
                ends[stream.index] - zero,
                float(stream.time_base),
                kind in _SEEKABLE and not extents[stream.index].clock.jumped,
            )
            for stream in (sound, film)
        ]
        size = _size(film) if film is not None else (0, 0)
        stamps = sorted(extents[film.index].stamps) if film is not None else ()
        joined = any(extents[stream.index].clock.jumped for stream in used)
        return Streams(*parts, size, tuple(stamp - zero for stamp in stamps), max(ends.values()) - zero, joined)


def _indexed(streams: Any, extents: dict[int, _Extent]) -> bool:
    """Fills in what an index says, if it speaks of every stream of sound and film."""
    cover = package("av").stream.Disposition.attached_pic
    used = [s for s in streams if s.type in ("audio", "video") and not s.disposition & cover]
    if not used or not all(s.frames and s.duration and s.start_time is not None for s in used):
        return False
    for stream in used:
        start, unit = stream.start_time, float(stream.time_base)
        extents[stream.index].count = stream.frames
        extents[stream.index].start, extents[stream.index].end = start * unit, (start + stream.duration) * unit
    return True


def _add(extent: _Extent, packet: Any, keep: bool) -> None:
    stamp = packet.pts if packet.pts is not None else packet.dts
    if stamp is None or packet.is_discard or not packet.size:
        return
    unit = float(packet.time_base)
    decoded = stamp if packet.dts is None else packet.dts
    at = extent.clock.place(decoded * unit, (packet.duration or 0) * unit) + (stamp - decoded) * unit
    extent.count += 1
    extent.start = min(extent.start, at)
    extent.end = max(extent.end, at + (packet.duration or 0) * unit)
    if keep:
        extent.stamps.append(extent.clock.end - (packet.duration or 0) * unit)


def _start(stream: Any, extent: _Extent) -> float:
    """When a stream begins to be heard or seen."""
    found = extent.start
    guess = None if stream.start_time is None else float(stream.start_time * stream.time_base)
    return max(0.0, found if guess is None or abs(guess - found) > _FAR else guess)


def _size(stream: Any) -> tuple[int, int]:
    """Width and height of a film's frames; 0 where there is no decoder."""
    return (stream.width, stream.height) if stream.codec_context else (0, 0)


def _chosen(streams: Any, extents: dict[int, _Extent]) -> tuple[Any, Any]:
    """The sound and the film: the sound that is the default, or the first; the largest film that is no cover."""
    disposition = package("av").stream.Disposition
    there = [stream for stream in streams if extents[stream.index].count]
    sounds = [stream for stream in there if stream.type == "audio"]
    sound = next((s for s in sounds if s.disposition & disposition.default), next(iter(sounds), None))
    films = [s for s in there if s.type == "video" and not s.disposition & disposition.attached_pic]
    moving = [stream for stream in films if extents[stream.index].count > 1]
    if not moving and (sound is not None or len(films) > 1):
        moving = [s for s in films if not s.codec_context or s.codec_context.name not in _STILLS]
    elif not moving:
        moving = films
    return sound, max(moving, key=lambda stream: math.prod(_size(stream)), default=None)
