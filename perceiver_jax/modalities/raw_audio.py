"""Raw sound: pieces of the waveform, without any transform (section 4.2)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8
from pydantic import Field

from perceiver_jax.modalities import Stream, sound_at
from perceiver_jax.readers.recordings import FILMS, SOUNDS, FileRecording, Recording
from perceiver_jax.report.maps import draw_attention_maps, squared
from perceiver_jax.report.sounds import waveform
from perceiver_jax.section import Count, NonNegative, Positive, Section

Waveform = Float32[np.ndarray, " samples"]
Features = Float32[np.ndarray, "_ F"]


class RawAudioStream(Stream):
    """Sound in pieces: their grid is how many there are, their channels the samples of each."""

    modality: Literal["raw_audio"]
    grid: tuple[Count]
    masked: Literal[True]  # a recording may be shorter, or without sound
    sample_rate: Count


class NoAugment(Section):
    """Sound as it is, but for where in its recording it begins."""

    kind: Literal["none"]


class Gain(Section):
    """Each sound by itself, and two sounds in one (mixup, Zhang et al. 2017), as the paper has neither."""

    kind: Literal["gain"]
    decibels: NonNegative  # louder or softer by up to as much
    mixup_alpha: Positive | None  # the first example's portion has the distribution Beta(alpha, alpha); None: no mixup


class RawAudio:
    """Processing of raw sound: a Modality."""

    Stream, suffixes = RawAudioStream, (*SOUNDS, *FILMS)
    Augment = Annotated[NoAugment | Gain, Field(discriminator="kind")]
    num_coordinates, max_views = 0, None

    def __init__(self, stream: RawAudioStream, augment: NoAugment | Gain):
        self.stream, self.augment = stream, augment

    @property
    def seconds(self) -> float:
        """The length of the sound."""
        return self.stream.grid[0] * self.stream.channels / self.stream.sample_rate

    @property
    def mixes(self) -> bool:
        """Whether mixup is on."""
        return isinstance(self.augment, Gain) and self.augment.mixup_alpha is not None

    def read(self, given: Recording, name: str, moment: float) -> Waveform | None:
        """The samples of the part at a moment; None where there is no sound; raises Failure(DATA) with the name."""
        return sound_at(given, name, moment, self.seconds, self.stream.sample_rate)

    def holds(self, given: Recording) -> bool:
        """Whether a recording has sound."""
        return given.sound(0.0, 0.0, self.stream.sample_rate) is not None

    def read_file(self, data: bytes | Path, name: str) -> FileRecording:
        """The recording in a user's file."""
        return FileRecording(data)

    def training(self, sound: Waveform, rng: np.random.Generator) -> Features:
        """The pieces, louder or softer."""
        pieces = self.evaluation(sound, 0)
        if isinstance(self.augment, Gain):
            pieces = pieces * np.float32(10 ** (rng.uniform(-1, 1) * self.augment.decibels / 20))
        return pieces

    def evaluation(self, sound: Waveform, view: int) -> Features:
        """The pieces; zeros fill the last one. What a view is of has been read."""
        channels = self.stream.channels
        pieces = np.zeros((math.ceil(len(sound) / channels), channels), np.float32)
        pieces.reshape(-1)[: len(sound)] = sound
        return pieces

    def mixed(self, first: Features, second: Features, slot: int, rng: np.random.Generator) -> tuple[Features, float]:
        """The weighted sum of two sounds, as long as the longer one, and the portion of it that is the first's."""
        return mixup(first, second, self.augment.mixup_alpha, rng)

    def normalize(self, features: Float32[np.ndarray, "*shape F"]) -> Float32[np.ndarray, "*shape F"]:
        """The samples as they are, from -1 to 1."""
        return features

    def shown(self, inputs: Float32[np.ndarray, "*grid F"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """The waveform, time to the right."""
        return squared(waveform(inputs.reshape(-1), side, side // 2), side)

    def draw_maps(
        self,
        inputs: Float32[np.ndarray, "*grid F"],
        maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
        output: Path,
        latents: Sequence[int] | None,
        overlay: bool,
    ) -> None:
        """Draws figure 3 for one sound: its waveform, and each map as a strip along it."""
        pieces = maps[0][1].shape[1]
        picture = waveform(inputs.reshape(-1), pieces, pieces // 4)
        draw_attention_maps(picture, [(title, logits[:, None]) for title, logits in maps], output, latents, overlay)


def mixup(
    first: Float32[np.ndarray, "m *F"], second: Float32[np.ndarray, "n *F"], alpha: float, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "k *F"], float]:
    """The weighted sum of two arrays, the shorter one followed by zeros, and the weight of the first."""
    portion = float(rng.beta(alpha, alpha))
    mixed = np.zeros((max(len(first), len(second)), *first.shape[1:]), np.float32)
    mixed[: len(first)] += np.float32(portion) * first
    mixed[: len(second)] += np.float32(1 - portion) * second
    return mixed, portion


MEMBER = RawAudio
