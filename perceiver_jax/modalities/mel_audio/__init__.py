"""Log-mel spectrograms of sound: each value is an input (section 4.2), on a grid of time and frequency or in a row."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8
from pydantic import Field

from perceiver_jax.modalities import Stream, sound_at
from perceiver_jax.modalities.mel_audio.config import AugmentConfig, NoAugment, SpecAugment
from perceiver_jax.modalities.mel_audio.spectrogram import log_mel
from perceiver_jax.modalities.raw_audio import mixup
from perceiver_jax.readers.opencv import opencv
from perceiver_jax.readers.recordings import FILMS, SOUNDS, FileRecording, Recording
from perceiver_jax.report.maps import draw_attention_maps, grey, squared
from perceiver_jax.section import Count, Positive

Spectrogram = Float32[np.ndarray, "frames bands"]
Features = Float32[np.ndarray, "_ 1"]


class MelAudioStream(Stream):
    """Spectrograms; their grid is (frames, bands), or one axis of all their values, a frame after the other."""

    modality: Literal["mel_audio"]
    grid: Annotated[tuple[Count, ...], Field(min_length=1, max_length=2)]
    channels: Literal[1]
    masked: Literal[True]  # a recording may be shorter, or without sound
    sample_rate: Count
    window: Count  # samples of a frame, and of its transform
    hop: Count  # samples from one frame to the next
    num_bands: Count
    band_edges: tuple[Positive, Positive]  # Hz, of the lowest and the highest band
    offset: Positive  # added to the magnitude before its logarithm
    mean: float  # taken off the logarithm
    std: Positive  # by which it is then divided


class MelAudio:
    """Processing of spectrograms: a Modality."""

    Stream, Augment, suffixes = MelAudioStream, AugmentConfig, (*SOUNDS, *FILMS)
    num_coordinates, max_views = 0, None

    def __init__(self, stream: MelAudioStream, augment: NoAugment | SpecAugment):
        self.stream, self.augment = stream, augment

    @property
    def seconds(self) -> float:
        """The length of the sound."""
        return math.prod(self.stream.grid) // self.stream.num_bands * self.stream.hop / self.stream.sample_rate

    @property
    def mixes(self) -> bool:
        """Whether mixup is on."""
        return isinstance(self.augment, SpecAugment) and self.augment.mixup_alpha is not None

    def read(self, given: Recording, name: str, moment: float) -> Spectrogram | None:
        """The spectrogram of the part at a moment; None where there is no sound; raises Failure(DATA) with the name."""
        sound = sound_at(given, name, moment, self.seconds, self.stream.sample_rate)
        return None if sound is None else self.spectrogram(sound)

    def spectrogram(self, sound: Float32[np.ndarray, " samples"]) -> Spectrogram:
        """The spectrogram of a sound of any length, not yet normalised."""
        stream = self.stream
        sizes = stream.sample_rate, stream.window, stream.hop
        return log_mel(sound, *sizes, stream.band_edges, stream.num_bands, stream.offset)

    def holds(self, given: Recording) -> bool:
        """Whether a recording has sound."""
        return given.sound(0.0, 0.0, self.stream.sample_rate) is not None

    def read_file(self, data: bytes | Path, name: str) -> FileRecording:
        """The recording in a user's file."""
        return FileRecording(data)

    def training(self, spectrogram: Spectrogram, rng: np.random.Generator) -> Features:
        """The values, of random bands and frames the mean."""
        config = self.augment
        if isinstance(config, SpecAugment):
            spectrogram = masked(spectrogram, config, rng)
        return spectrogram.reshape(-1, 1)

    def evaluation(self, spectrogram: Spectrogram, view: int) -> Features:
        """The values. What a view is of has been read."""
        return spectrogram.reshape(-1, 1)

    def mixed(self, first: Features, second: Features, slot: int, rng: np.random.Generator) -> tuple[Features, float]:
        """The weighted mean of two spectrograms, as long as the longer one, and the portion of it that is the first's."""
        silence = np.float32(math.log(self.stream.offset))
        both, portion = mixup(first - silence, second - silence, self.augment.mixup_alpha, rng)
        return both + silence, portion

    def normalize(self, features: Float32[np.ndarray, "*shape 1"]) -> Float32[np.ndarray, "*shape 1"]:
        """The values less the stream's mean, over its standard deviation."""
        return (features - np.float32(self.stream.mean)) / np.float32(self.stream.std)

    def shown(self, inputs: Float32[np.ndarray, "*grid 1"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """The spectrogram, time to the right, low notes below."""
        picture = self._picture(inputs)
        width = max(1, side * picture.shape[1] * self.stream.num_bands // math.prod(self.stream.grid))
        return squared(opencv().resize(picture, (width, side), interpolation=opencv().INTER_NEAREST)[..., None], side)

    def draw_maps(
        self,
        inputs: Float32[np.ndarray, "*grid 1"],
        maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
        output: Path,
        latents: Sequence[int] | None,
        overlay: bool,
    ) -> None:
        """Draws figures 20 to 23: the spectrogram and maps of it, time to the right, low notes below."""
        upright = [(title, logits.reshape(len(logits), -1, self.stream.num_bands)) for title, logits in maps]
        upright = [(title, evened(logits.transpose(0, 2, 1)[:, ::-1])) for title, logits in upright]
        draw_attention_maps(evened(self._picture(inputs)[..., 0])[..., None], upright, output, latents, overlay)

    def _picture(self, inputs: Float32[np.ndarray, "*grid 1"]) -> Float32[np.ndarray, "bands frames 1"]:
        """The spectrogram in 0..1, upright."""
        return grey(inputs.reshape(-1, self.stream.num_bands).T[::-1])[..., None]


def evened(pictures: Float[np.ndarray, "*some bands frames"]) -> Float[np.ndarray, "*some height width"]:
    """Spectrograms with their bands or their frames repeated, so that neither side is twice as long as the other."""
    bands, frames = pictures.shape[-2:]
    return pictures.repeat(max(1, bands // frames), axis=-1).repeat(max(1, frames // bands), axis=-2)


def masked(spectrogram: Spectrogram, config: SpecAugment, rng: np.random.Generator) -> Spectrogram:
    """A spectrogram with its mean in place of random bands and frames."""
    found, mean = spectrogram.copy(), spectrogram.mean() if spectrogram.size else np.float32(0)
    for count, most, axis in ((config.time_masks, config.time_mask, 0), (config.frequency_masks, config.frequency_mask, 1)):
        for _ in range(count):
            length = int(rng.integers(min(most, found.shape[axis]), endpoint=True))
            first = int(rng.integers(found.shape[axis] - length, endpoint=True))
            found[(slice(None),) * axis + (slice(first, first + length),)] = mean
    return found


MEMBER = MelAudio
