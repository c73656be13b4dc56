"""Files that hold streams of sound and film: MP4, WebM, Matroska, MPEG-TS and others, by PyAV.

Opened in each call, by one thread, and closed behind it: a process that is forked inherits nothing. FFmpeg looks at the
bytes alone, never at a name, and takes no format that could name other files.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.media_bytes import Data, not_a_recording
from perceiver_jax.readers.optional import package

# Where a time is exact wherever one begins to read; the others are decoded from their start.
SEEKABLE = ("mov", "matroska", "mpegts")
_NO_STORED_TIMES = "avi"  # of pictures: they follow one another
_PROBED = ("mp3", "aac", "ac3", "eac3", "mpeg", "mpegts", "amr", "dts", "flac")  # what bytes without a mark may be
_STILLS = ("mjpeg", "png", "bmp", "gif", "webp", "jpeg2000", "tiff")  # codecs of covers
MAX_PIXELS = 36_000_000  # of a frame: 8K; a few bytes can claim billions
_NEAR = 0.05  # seconds: a film that begins so little behind the sound begins the clock
_FAR = 0.2  # seconds: FFmpeg's guess of a stream's start may differ so much from its first packet


@contextlib.contextmanager
def container_of(data: Data, kind: str) -> Iterator[Any]:
    """A container, closed behind the block; raises BadFile for what FFmpeg cannot read."""
    av = package("av")
    options = {} if kind else {"format_whitelist": ",".join(_PROBED)}
    file = io.BytesIO(data) if isinstance(data, bytes) else f"file:{data}"
    try:
        with av.open(file, format=kind or None, options=options) as container:
            yield container
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise _bad(error) from None


def _bad(error: Exception) -> BadFile:
    av = package("av")
    if isinstance(error, av.DecoderNotFoundError | av.PatchWelcomeError):
        return BadFile("encoding", "is in a coding that is not read")
    if isinstance(error, av.FileNotFoundError | av.PermissionError):
        return BadFile("unreadable", f"cannot be read: {error.strerror}")
    words = getattr(error, "strerror", None) or type(error).__name__
    return BadFile("damaged", f"cannot be decoded: {words}")


def format_of(data: Data) -> str:
    """The kind of a recording whose first bytes have no mark; raises BadFile for what is none."""
    av = package("av")
    try:
        with container_of(data, "") as container:
            return container.format.name
    except BadFile as bad:
        raise not_a_recording() if bad.code == "damaged" else bad from None
    except av.FFmpegError:
        raise not_a_recording() from None


def samples_of(data: Data, kind: str) -> tuple[int, int]:
    """How many samples a bare stream of sound has by its packets, and the longest of them."""
    with container_of(data, kind) as container:
        stream = container.streams.audio[0]
        lengths = [packet.duration or 0 for packet in container.demux(stream)]
        unit = stream.time_base * stream.rate
        return round(sum(lengths) * unit), round(max(lengths) * unit)


@dataclasses.dataclass(frozen=True)
class Streamed:
    """One stream of a container: where it is, and what is known of it before it is decoded."""

    data: Data = dataclasses.field(repr=False)
    kind: str  # of the container
    index: int
    codec: str  # "" where there is no decoder
    zero: float  # the container's time at which the recording's clock begins
    start: float  # on the recording's clock
    end: float
    tick: float  # seconds to which times are rounded


@dataclasses.dataclass(frozen=True)
class Streams:
    """The sound and the film of a container, and its seconds."""

    sound: Streamed | None
    film: Streamed | None
    size: tuple[int, int]  # of the film's frames: width, height
    times: tuple[float, ...]  # of the film's frames in a container that does not store them
    seconds: float


@dataclasses.dataclass
class _Extent:
    """The packets of a stream, all together."""

    count: int = 0
    start: Fraction | None = None
    end: Fraction = Fraction(0)
    stamps: list[Fraction] = dataclasses.field(default_factory=list)  # of decoding


def streams_of(data: Data, kind: str) -> Streams:
    """What is in a container, by its packets: headers tell other lengths, and of streams that hold none; raises BadFile."""
    with container_of(data, kind) as container:
        extents = {stream.index: _Extent() for stream in container.streams}
        for packet in container.demux():
            _add(extents[packet.stream.index], packet, keep=kind == _NO_STORED_TIMES)
        sound, film = _chosen(container.streams, extents)
        used = [stream for stream in (sound, film) if stream is not None]
        if not used:
            raise BadFile("no-samples", "holds neither sound nor film")
        starts = {stream.index: _start(stream, extents[stream.index]) for stream in used}
        zero = min(starts.values())
        if film is not None and starts[film.index] - zero <= _NEAR:
            zero = starts[film.index]
        ends = {stream.index: float(extents[stream.index].end) for stream in used}
        parts = [
            None
            if stream is None
            else Streamed(
                data,
                kind,
                stream.index,
                stream.codec_context.name if stream.codec_context else "",
                zero,
                starts[stream.index] - zero,
                ends[stream.index] - zero,
                float(stream.time_base),
            )
            for stream in (sound, film)
        ]
        size = (film.width, film.height) if film is not None else (0, 0)
        stamps = sorted(extents[film.index].stamps) if film is not None else ()
        return Streams(*parts, size, tuple(float(stamp) - zero for stamp in stamps), max(ends.values()) - zero)


def _add(extent: _Extent, packet: Any, keep: bool) -> None:
    stamp = packet.pts if packet.pts is not None else packet.dts
    if stamp is None or packet.is_discard or not packet.size:
        return
    at, length = stamp * packet.time_base, (packet.duration or 0) * packet.time_base
    extent.count += 1
    extent.start = at if extent.start is None else min(at, extent.start)
    extent.end = max(extent.end, at + length)
    if keep and packet.dts is not None:
        extent.stamps.append(packet.dts * packet.time_base)


def _start(stream: Any, extent: _Extent) -> float:
    """When a stream begins to be heard or seen."""
    found = float(extent.start)
    guess = None if stream.start_time is None else float(stream.start_time * stream.time_base)
    return max(0.0, found if guess is None or abs(guess - found) > _FAR else guess)


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
    return sound, max(moving, key=lambda stream: stream.width * stream.height, default=None)
