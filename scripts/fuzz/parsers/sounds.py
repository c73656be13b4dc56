"""Sounds: WAV and its kin, FLAC, Ogg and MP3, as AudioSet's preparation and predictions read them."""

import io
from pathlib import Path

import numpy as np

from perceiver_jax.readers.optional import package
from perceiver_jax.readers.recordings import FileRecording
from scripts.fuzz.parser import Parser

_RATE, _FFMPEG_RATE, _SECONDS = 8000, 48_000, 0.2
_FORMS = {
    "16.wav": ("WAV", "PCM_16", "FILE"),
    "24.wav": ("WAVEX", "PCM_24", "FILE"),
    "law.wav": ("WAV", "ULAW", "FILE"),
    "adpcm.wav": ("WAV", "IMA_ADPCM", "FILE"),
    "big.wav": ("WAV", "PCM_16", "BIG"),
    "wide.w64": ("W64", "PCM_16", "FILE"),
    "long.rf64": ("RF64", "PCM_16", "FILE"),
    "plain.aiff": ("AIFF", "PCM_16", "FILE"),
    "plain.au": ("AU", "PCM_16", "FILE"),
    "plain.caf": ("CAF", "PCM_16", "FILE"),
    "plain.flac": ("FLAC", "PCM_16", "FILE"),
    "plain.mp3": ("MP3", "MPEG_LAYER_III", "FILE"),
}
_BY_FFMPEG = {  # what libsndfile writes of these has the time in it, or a number drawn at random
    "float.wav": ("wav", "pcm_f32le"),
    "float.aifc": ("aiff", "pcm_f32be"),
    "vorbis.ogg": ("ogg", "vorbis"),
    "opus.ogg": ("ogg", "libopus"),
}


class Sounds(Parser):
    """A short tone in two channels in each form."""

    what = "sounds"
    packages = ("av", "soundfile", "soxr")

    def make(self) -> dict[str, bytes]:
        """Files of a few kB."""
        own = {name: _encoded(*form) for name, form in _BY_FFMPEG.items()}
        return own | {name: _saved(*form) for name, form in _FORMS.items()}

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """From a file: a window at its beginning and one that ends behind it."""
        path = folder / name
        path.write_bytes(data)
        recording = FileRecording(path)
        for start in (0.0, 0.1):
            recording.sound(start, 0.15, 16_000)
        recording.frames(0.0, 2, 5, 32)
        recording.remarks(16_000)


def _tone(rate: int) -> np.ndarray:
    """A sample a row."""
    times = np.arange(round(rate * _SECONDS)) / rate
    return 0.4 * np.sin(2 * np.pi * times[:, None] * np.array([300.0, 440.0]))


def _saved(kind: str, coding: str, order: str) -> bytes:
    file = io.BytesIO()
    package("soundfile").write(file, _tone(_RATE), _RATE, subtype=coding, endian=order, format=kind)
    return file.getvalue()


def _encoded(container: str, coding: str) -> bytes:
    av, file = package("av"), io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as output:
        sound = output.add_stream(coding, rate=_FFMPEG_RATE, layout="stereo", options={"strict": "experimental"})
        whole = av.AudioFrame.from_ndarray(_tone(_FFMPEG_RATE).T.astype(np.float32).copy(), format="fltp", layout="stereo")
        whole.sample_rate, whole.pts = _FFMPEG_RATE, 0
        output.mux(sound.encode(whole))
        output.mux(sound.encode())
    return file.getvalue()


MEMBER = Sounds
