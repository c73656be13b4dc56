"""Films with sound in the containers that people have, and what prepared data sets keep, read a window at a time."""

import io
from pathlib import Path

import numpy as np

from perceiver_jax.data.stored_recordings import StoredRecording, encode_film, encode_sound
from perceiver_jax.readers.optional import package
from perceiver_jax.readers.recordings import FileRecording
from scripts.fuzz.parser import Parser

_RATE, _SECONDS, _FRAME_RATE, _SIZE = 48_000, 0.3, 25.0, (32, 48)
_FORMS = {  # by name: FFmpeg's name of the container, codings of film and sound
    "plain.mp4": ("mp4", "libx264", "aac"),
    "plain.mov": ("mov", "mpeg4", "pcm_s16le"),
    "plain.mkv": ("matroska", "libx264", "libopus"),
    "plain.webm": ("webm", "libvpx", "libopus"),
    "plain.avi": ("avi", "mpeg4", "mp3"),
    "plain.ts": ("mpegts", "mpeg2video", "mp2"),
    "plain.mpg": ("mpeg", "mpeg2video", "mp2"),
    "plain.flv": ("flv", "flv", "aac"),
    "plain.ogv": ("ogg", "libvpx", "libopus"),
    "plain.wmv": ("asf", "wmv2", "mp3"),
    "sound.m4a": ("ipod", "", "aac"),
    "sound.mka": ("matroska", "", "flac"),
    "film.mp4": ("mp4", "libx264", ""),
}
_STORED = {"stored/sound.flac", "stored/film.mp4"}


class Containers(Parser):
    """Three tenths of a second of stripes and a tone."""

    what = "films and their sound"
    packages = ("av", "soundfile", "opencv-python-headless")

    def make(self) -> dict[str, bytes]:
        """Files of a few kB."""
        kept = {"stored/sound.flac": encode_sound(_tone()), "stored/film.mp4": encode_film(_frames())}
        return {name: _saved(*form) for name, form in _FORMS.items()} | kept

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """From a file: frames and sound at the beginning and in the middle; what data sets keep from memory."""
        if name in _STORED:
            is_sound = name.endswith("flac")
            recording = StoredRecording(data if is_sound else b"", b"" if is_sound else data, _SECONDS, "a clip")
        else:
            path = folder / name
            path.write_bytes(data)
            recording = FileRecording(path)
            recording.remarks(16_000)
        for start in (0.0, 0.15):
            recording.sound(start, 0.1, 16_000)
            recording.frames(start, 2, _FRAME_RATE, 24)


def _tone() -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * 440 / _RATE * np.arange(round(_RATE * _SECONDS)), dtype=np.float32)


def _frames() -> list[np.ndarray]:
    stripes = np.arange(_SIZE[1]) % 8 * 30 + 10
    picture = np.broadcast_to(stripes[None, :, None], (*_SIZE, 3)).astype(np.uint8)
    return [np.roll(picture, number, 1) for number in range(round(_SECONDS * _FRAME_RATE))]


def _saved(container: str, film: str, sound: str) -> bytes:
    av, file = package("av"), io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as output:
        pictures = (
            output.add_stream(film, rate=round(_FRAME_RATE), height=_SIZE[0], width=_SIZE[1], pix_fmt="yuv420p")
            if film
            else None
        )
        tone = output.add_stream(sound, rate=_RATE, layout="mono") if sound else None
        if pictures is not None:
            pictures.codec_context.thread_count = 1
            for number, frame in enumerate(_frames()):
                picture = av.VideoFrame.from_ndarray(frame)
                picture.pts = number
                output.mux(pictures.encode(picture))
            output.mux(pictures.encode())
        if tone is not None:
            whole = av.AudioFrame.from_ndarray(_tone()[None], format="fltp", layout="mono")
            whole.sample_rate, whole.pts = _RATE, 0
            output.mux(tone.encode(whole))
            output.mux(tone.encode())
    return file.getvalue()


MEMBER = Containers
