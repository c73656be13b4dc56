"""Files that hold streams of sound and film: MP4, WebM, Matroska, MPEG-TS and others, by PyAV.

Opened in each call, by one thread, and closed behind it: a process that is forked inherits nothing. FFmpeg looks at the
bytes alone, never at a name, and takes no format that could name other files.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import Any

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.codings import coding_of
from perceiver_jax.readers.media_bytes import Data, not_a_recording
from perceiver_jax.readers.optional import package

_PROBED = ("mp3", "aac", "ac3", "eac3", "mpeg", "mpegts", "amr", "dts", "flac")  # what bytes without a mark may be
MAX_PIXELS = 9_500_000  # of a frame: 4K; a few bytes can claim billions, and decoders hold up to 16 of them
_JUMP = 1.0  # seconds: a clock that goes back by more has started again: files were joined
# Of packets or frames without a size of the whole: the last may be cut, or have something else behind it.
_OPEN_ENDED = ("mpegts", "flv", "mpeg", "asf", "mp3", "aac", "ac3", "eac3", "amr", "dts")


@contextlib.contextmanager
def container_of(data: Data, kind: str) -> Iterator[Any]:
    """A container, closed behind the block; raises BadFile for what FFmpeg cannot read."""
    av = package("av")
    options = {} if kind else {"format_whitelist": ",".join(_PROBED)}
    # Titles may be in any coding. From version 19 on PyAV takes what is not UTF-8 as it is, and has no such argument.
    text = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
    file = io.BytesIO(data) if isinstance(data, bytes) else f"file:{data}"
    try:
        with av.open(file, format=kind or None, options=options, **text) as container:
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


def packets(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of some streams, or of all, from where the container is on.

    Behind the last one PyAV fails where a stream has come to light late: it looks for that one among those of the beginning.
    """
    try:
        yield from container.demux(*streams)
    except IndexError:
        return


def decoded(held: "Streamed", container: Any) -> Iterator[Any]:
    """The frames of a stream, from where the container is on; raises BadFile.

    What cannot be decoded before the first frame is passed over: its beginning is elsewhere. So is what is behind the last,
    in containers that may break off anywhere. A decoder that does not open decodes nothing.
    """
    av = package("av")
    begun, error, stream = False, None, container.streams[held.index]
    for packet in packets(container, stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError as found:
            if not stream.codec_context.is_open:
                raise _bad(found) from None
            error = error or found.with_traceback(None)  # which would hold on to this frame, and so to the container
            continue
        for frame in frames:
            if error is not None and begun:
                raise _bad(error)
            begun, error = True, None
            yield frame
    if error is not None and not (begun and held.kind in _OPEN_ENDED):
        raise _bad(error)


def sought(held: "Streamed", container: Any, begin: float) -> bool:
    """Goes to a key frame before a time of a recording, perhaps; whether the container can."""
    stream = container.streams[held.index]
    try:
        container.seek(round((begin + held.zero) / stream.time_base), stream=stream)
    except package("av").FFmpegError:
        return False
    return True


@contextlib.contextmanager
def stream_of(held: "Streamed", options: dict[str, str]) -> Iterator[tuple[Any, Any]]:
    """A container and the stream of it that is to be decoded, by one thread, with options of its decoder."""
    with container_of(held.data, held.kind) as container:
        stream = container.streams[held.index]
        if stream.codec_context is None:
            name = coding_of(held.data, held.kind, held.index)
            what = f"the coding {name}" if name else "a coding"
            raise BadFile("encoding", f"has {stream.type} in {what} that is not read")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = options
        yield container, stream


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


def samples_of(data: Data, kind: str) -> tuple[int, int, bool]:
    """How many samples a bare stream of sound has by its packets, the longest of them, and whether its clock jumps back."""
    with container_of(data, kind) as container:
        stream = next(iter(container.streams.audio), None)
        total = longest = last = 0
        joined = False
        for packet in packets(container, stream) if stream is not None else ():
            total, longest = total + (packet.duration or 0), max(longest, packet.duration or 0)
            joined |= packet.pts is not None and packet.pts < last
            last = packet.pts or last
        if not total:
            raise BadFile("damaged", "has no frame of sound that can be found")
        unit = stream.time_base * stream.rate
        return round(total * unit), round(longest * unit), joined


class Clock:
    """The times of one stream on a recording's clock, which continues where the file's own starts again."""

    def __init__(self, zero: float):
        self._shift, self.end, self.jumped = -zero, None, False

    def place(self, time: float | None, length: float) -> float:
        """When what has a time in the file, or follows what was before, begins; `end` is then when it ends."""
        at = self.end or 0.0 if time is None else time + self._shift
        if self.end is not None and at < self.end - _JUMP:
            self._shift += self.end - at
            at, self.jumped = self.end, True
        self.end = at + length
        return at


@dataclasses.dataclass(frozen=True)
class Streamed:
    """One stream of a container: where it is, and what is known of it before it is decoded."""

    data: Data = dataclasses.field(repr=False)
    kind: str  # of the container
    index: int
    zero: float  # the container's time at which the recording's clock begins
    start: float  # on the recording's clock
    end: float
    tick: float  # seconds to which times are rounded
    seekable: bool
