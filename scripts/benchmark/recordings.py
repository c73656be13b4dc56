"""The path of 1.28 s of a recording from its file of 10 s to the inputs: ours, and each library's own ceiling beside it."""

import dataclasses
import functools
import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from configs import audioset
from perceiver_jax.data import stored_recordings
from perceiver_jax.data.stored_recordings import StoredRecording
from perceiver_jax.modalities import Modality
from perceiver_jax.modalities.mel_audio.spectrogram import mel_matrix
from perceiver_jax.readers.recordings import FileRecording
from perceiver_jax.settings.config import parse
from scripts.benchmark.process import Built

SECONDS, WINDOW = 10, 1.28
SOUND_RATE, FRAME_RATE, NUM_FRAMES = 48_000, 25, 32
HEIGHT, WIDTH = 256, 340  # of films: 4:3 at the side that is read
STARTS = np.linspace(0, SECONDS - WINDOW, 8).tolist()  # of the windows that one step reads
SOUNDS = ("wav", "flac", "mp3")
CONFIGS = {"raw": "raw_audio", "mel": "mel_audio", "video": "video", "mel and video": "mel_audio_video_tuned"}


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows of a file of a `kind` of `SOUNDS`, or of an MP4's `sound` or `film`: by `ours` or by the `library`."""

    name: str
    kind: str

    def __call__(self) -> Built:
        """Itself, the file in memory. A file is opened again for every window, as in training."""
        read = {"ours": self._ours, "library": self._library}[self.name]()
        return _over_windows(read)

    def _ours(self) -> Callable[[float], Any]:
        if self.kind == "film":
            file = mp4()
            return lambda start: FileRecording(file).frames(start, NUM_FRAMES, float(FRAME_RATE), None)
        file = mp4() if self.kind == "sound" else sound_file(self.kind)
        return lambda start: FileRecording(file).sound(start, WINDOW, SOUND_RATE)

    def _library(self) -> Callable[[float], Any]:
        if self.kind in SOUNDS:
            import soundfile

            file, count = sound_file(self.kind), round(WINDOW * SOUND_RATE)
            return lambda start: soundfile.read(io.BytesIO(file), count, round(start * SOUND_RATE), dtype="float32")
        file = mp4()
        if self.kind == "film":
            return lambda start: [frame.to_ndarray(format="rgb24") for frame in _decoded(file, "video", start)]
        return lambda start: [frame.to_ndarray() for frame in _decoded(file, "audio", start)]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Training examples as the AudioSet config makes them, of clips as they are prepared."""

    name: str

    def __call__(self) -> Built:
        """Itself, its clip in memory."""
        modalities = parse(audioset.get_config(CONFIGS[self.name])).modalities
        clip = StoredRecording(
            stored_recordings.encode_sound(sound()), stored_recordings.encode_film(film()), float(SECONDS), "clip"
        )

        def example(start: float) -> list[np.ndarray]:
            moment, rng = start / (SECONDS - WINDOW), np.random.default_rng(round(start * 100))
            return [_features(modality, clip, moment, rng) for modality in modalities.values()]

        return _over_windows(example)


@dataclasses.dataclass(frozen=True)
class Spectrograms:
    """The paper's spectrogram of one example, on the `host`, or by a program on the `device`."""

    name: str

    def __call__(self) -> Built:
        """Itself; the device's program compiled."""
        modality = parse(audioset.get_config("mel_audio")).modalities["audio"]
        windows = [sound()[first : first + round(WINDOW * SOUND_RATE)] for first in range(0, 8 * SOUND_RATE, SOUND_RATE)]
        if self.name == "host":
            return Built(lambda: [modality.spectrogram(window) for window in windows], {"examples": len(windows)})
        import jax

        program = jax.jit(functools.partial(on_device, modality.stream))
        return Built(lambda: [np.asarray(program(window)) for window in windows], {"examples": len(windows)})


def on_device(stream: Any, samples: Any) -> Any:
    """The same spectrogram in JAX."""
    import jax.numpy as jnp

    window, hop = stream.window, stream.hop
    matrix = mel_matrix(stream.sample_rate, window, stream.band_edges, stream.num_bands).astype(np.float32)
    count = -(-len(samples) // hop)
    padded = jnp.pad(samples, (0, (count - 1) * hop + window - len(samples)))
    parts = padded[np.arange(count)[:, None] * hop + np.arange(window)]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    return jnp.log(jnp.abs(jnp.fft.rfft(parts * hann)) @ matrix + stream.offset)


def _features(modality: Modality, clip: StoredRecording, moment: float, rng: np.random.Generator) -> np.ndarray:
    features = modality.training(modality.read(clip, "clip", moment), rng)
    return modality.normalize(features.astype(np.float32, copy=False))


def _over_windows(read: Callable[[float], Any]) -> Built:
    def step() -> None:
        for start in STARTS:
            read(start)

    return Built(step, {"examples": len(STARTS)})


def sound() -> Float32[np.ndarray, " samples"]:
    """Ten seconds of chords that change, and noise."""
    times, rng = np.arange(SECONDS * SOUND_RATE) / SOUND_RATE, np.random.default_rng(0)
    notes = 110 * 2 ** (rng.integers(0, 48, (SECONDS, 4)) / 12)
    tones = np.sin(2 * np.pi * notes[times.astype(int)] * times[:, None]).mean(axis=1)
    return (0.5 * tones + 0.02 * rng.normal(size=len(times))).astype(np.float32)


def film() -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Ten seconds of a view that moves over a photograph that comes with scikit-learn."""
    from sklearn.datasets import load_sample_images

    photograph = load_sample_images().images[0]
    down, right = photograph.shape[0] - HEIGHT, photograph.shape[1] - WIDTH
    for moment in np.arange(SECONDS * FRAME_RATE) / FRAME_RATE:
        top, left = (int(room * (0.5 + 0.5 * np.sin(moment * speed))) for room, speed in ((down, 0.7), (right, 0.9)))
        yield photograph[top : top + HEIGHT, left : left + WIDTH]


def sound_file(kind: str) -> bytes:
    """The sound in stereo, as a file of a kind."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.stack([sound()] * 2, axis=1), SOUND_RATE, format=kind.upper())
    return file.getvalue()


@functools.cache
def mp4() -> bytes:
    """The sound as AAC and the film as H.264, with the encoder's own settings."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        pictures = container.add_stream("libx264", rate=FRAME_RATE, width=WIDTH, height=HEIGHT, pix_fmt="yuv420p")
        track = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number, picture in enumerate(film()):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            container.mux(pictures.encode(frame))
        frame = av.AudioFrame.from_ndarray(sound()[None], format="fltp", layout="mono")
        frame.sample_rate = SOUND_RATE
        container.mux(track.encode(frame))
        for stream in (pictures, track):
            container.mux(stream.encode(None))
    return file.getvalue()


def _decoded(file: bytes, kind: str, start: float) -> Iterator[Any]:
    """The frames of a window, decoded from the key frame before it on by one thread."""
    import av

    with av.open(io.BytesIO(file)) as container:
        stream = getattr(container.streams, kind)[0]
        stream.codec_context.thread_count = 1
        container.seek(int(start / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time >= start + WINDOW:
                return
            if frame.time >= start - 0.05:
                yield frame
