"""Recordings as prepared data sets keep them, chosen by measured bytes, loss and rate of decoding.

Sound is a FLAC file of 16 bits at 48 kHz, mono; film an MP4 file of H.264, 25 frames a second, in short closed groups: a
part of either is read without the rest.
"""

import fractions
import io
import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.containers import MAX_PIXELS, container_of
from perceiver_jax.readers.opencv import opencv, reduced
from perceiver_jax.readers.optional import package
from perceiver_jax.readers.recordings import Recording
from perceiver_jax.readers.resampling import resampled_window

SOUND_RATE = 48_000  # samples a second
FRAME_RATE = 25.0
# Of libx264. A window of 32 frames is decoded as fast as from JPEGs of seven times the bytes.
ENCODER = {"crf": "20", "preset": "medium", "tune": "fastdecode", "g": "16", "keyint_min": "16"}
ENCODER |= {"sc_threshold": "0", "flags": "+cgop", "threads": "1"}
# Its code for AVX-512 gives other bytes from run to run, and is not faster; this is the same on all x86 processors.
ENCODER |= {"x264-params": "asm=sse4.2"}
_FULL = 2**15  # of 16 bits
_ROUNDING = 1e-6  # of a frame
_PIXELS = "yuv420p"  # how frames are kept: FFmpeg's name

Frames = UInt8[np.ndarray, "T H W 3"]


def encoders() -> str:
    """The libraries on whose versions the bytes depend."""
    return f"av {package('av').__version__}, libsndfile {package('soundfile').__libsndfile_version__}"


def encode_sound(samples: Float32[np.ndarray, " samples"]) -> bytes:
    """Sound at SOUND_RATE; what is above full scale is cut off at it."""
    whole = np.clip(np.rint(samples.astype(np.float64) * _FULL), -_FULL, _FULL - 1).astype(np.int16)
    data = io.BytesIO()
    package("soundfile").write(data, whole, SOUND_RATE, format="FLAC", subtype="PCM_16")
    return data.getvalue()


def encode_film(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> bytes:
    """Frames of one size at FRAME_RATE, both sides even; no bytes where there are none."""
    av, data, stream = package("av"), io.BytesIO(), None
    with av.open(data, "w", format="mp4") as container:
        for number, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=round(FRAME_RATE), options=ENCODER)
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], _PIXELS
                stream.codec_context.thread_count = 1
                stream.codec_context.time_base = fractions.Fraction(1, round(FRAME_RATE))
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux([] if stream is None else stream.encode(None))
    return b"" if stream is None else data.getvalue()


class StoredRecording(Recording):
    """A `Recording` of what `encode_sound` and `encode_film` made; a stream that it lacks has no bytes."""

    def __init__(self, sound: bytes, film: bytes, seconds: float, name: str):
        self._sound, self._film, self._seconds, self._name = sound, film, seconds, name

    @property
    def seconds(self) -> float:
        """The length of its longest stream."""
        return self._seconds

    def sound(self, start: float, seconds: float, rate: int) -> Float32[np.ndarray, " samples"] | None:
        """As `Recording` has it."""
        if not self._sound:
            return None
        return resampled_window(self._samples, SOUND_RATE, round(start * rate), round(seconds * rate), rate)

    def frames(self, start: float, count: int, rate: float, shorter_side: int | None) -> Frames | None:
        """As `Recording` has it; frames that are smaller stay as they are."""
        if not self._film:
            return None
        wanted = [max(0, math.floor((start + k / rate) * FRAME_RATE + _ROUNDING)) for k in range(count)]
        found = dict(self._decoded(wanted[0], wanted[-1])) if wanted else {}
        needed = set(wanted)
        shown = {number: reduced(found[number], shorter_side) for number in needed & found.keys()}
        there = [shown[number] for number in wanted if number in shown]
        return np.stack(there) if there else np.zeros((0, 1, 1, 3), np.uint8)

    def _samples(self, first: int, last: int) -> Float32[np.ndarray, " samples"]:
        soundfile = package("soundfile")
        try:
            with soundfile.SoundFile(io.BytesIO(self._sound)) as file:
                if (file.samplerate, file.channels) != (SOUND_RATE, 1):
                    raise self._damaged("sound", f"{file.channels} channels at {file.samplerate:,} Hz")
                file.seek(min(first, file.frames))
                return file.read(max(0, last - first), dtype="float32")
        except soundfile.SoundFileError as error:
            raise self._damaged("sound", f"{error}") from None

    def _damaged(self, what: str, found: str) -> Failure:
        hint = "prepare the data set again"
        return Failure(Code.DATA, f"{self._name}: the {what} is damaged", found=found, hint=hint)

    def _decoded(self, first: int, last: int) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """The frames from one to another, numbered."""
        cv2 = opencv()
        try:
            with container_of(self._film, "mov") as container:
                stream = next(iter(container.streams.video), None)
                if stream is None or stream.codec_context is None or not stream.time_base:
                    raise self._damaged("film", "no film that can be decoded")
                stream.codec_context.thread_count, stream.codec_context.thread_type = 1, "NONE"
                stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
                container.seek(round(first / FRAME_RATE / stream.time_base), stream=stream)  # to the key frame before
                form = None
                for frame in container.decode(stream):
                    form = form or (_PIXELS, frame.width, frame.height)
                    if frame.time is None or (frame.format.name, frame.width, frame.height) != form or frame.width % 2:
                        raise self._damaged("film", "frames of another kind than they are kept as")
                    number = round(frame.time * FRAME_RATE)
                    if number >= first:
                        # BT.601, limited range, as it was encoded: 1.3 times as fast as PyAV's own.
                        yield number, cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
                    if number >= last:
                        return
        except BadFile as bad:
            raise self._damaged("film", bad.sentence) from None
