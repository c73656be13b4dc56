"""The streams of data sets of recordings: which sound and film a model gets of each. Nothing here needs JAX."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from perceiver_jax.data.config import DataConfig
from perceiver_jax.modalities import Stream
from perceiver_jax.modalities.mel_audio import MelAudioStream
from perceiver_jax.modalities.raw_audio import RawAudioStream
from perceiver_jax.modalities.video import VideoStream
from perceiver_jax.section import Count, Positive, Section, Tiny


class RawSound(Section):
    """The waveform in pieces."""

    kind: Literal["raw"]
    sample_rate: Count
    num_pieces: Count
    samples_per_piece: Count

    @property
    def seconds(self) -> float:
        """The length of the part that a model gets."""
        return self.num_pieces * self.samples_per_piece / self.sample_rate

    def stream(self) -> RawAudioStream:
        """The stream `audio`."""
        return RawAudioStream(
            name="audio",
            modality="raw_audio",
            grid=(self.num_pieces,),
            channels=self.samples_per_piece,
            masked=True,
            sample_rate=self.sample_rate,
        )


class MelSound(Section):
    """The log-mel spectrogram, each of its values an input."""

    kind: Literal["mel"]
    sample_rate: Count
    num_frames: Count
    window: Count  # samples of a frame, and of its transform
    hop: Count  # samples from one frame to the next
    num_bands: Count
    band_edges: tuple[Positive, Positive]  # Hz
    offset: Positive  # added to the magnitude before its logarithm
    mean: float  # taken off the logarithm
    std: Positive  # by which it is then divided
    positions: Literal["time_frequency", "sequence"]  # of the values: on a grid of two axes, or in a row, frame after frame

    @model_validator(mode="after")
    def _check(self) -> "MelSound":
        low, high = self.band_edges
        if not low < high <= self.sample_rate / 2:
            raise ValueError(f"data.audio.band_edges {self.band_edges}: expected low < high <= half of sample_rate")
        if self.hop > self.window:
            raise ValueError(f"data.audio.hop {self.hop}: expected at most window {self.window}, or sound is lost")
        return self

    @property
    def seconds(self) -> float:
        """The length of the part that a model gets."""
        return self.num_frames * self.hop / self.sample_rate

    def stream(self) -> MelAudioStream:
        """The stream `audio`."""
        shape = self.num_frames, self.num_bands
        return MelAudioStream(
            name="audio",
            modality="mel_audio",
            grid=shape if self.positions == "time_frequency" else (math.prod(shape),),
            channels=1,
            masked=True,
            **self.model_dump(exclude={"kind", "num_frames", "positions"}),
        )


class Film(Section):
    """Frames in patches."""

    frame_rate: Positive  # frames a second
    num_frames: Count
    size: Annotated[tuple[Count, Count], Tiny(32)]  # pixels: height and width of the frames that the model sees
    patch: tuple[Count, Count, Count]  # frames, rows and columns of each input
    read_side: Annotated[Count, Tiny(36)]  # pixels to which the shorter side of larger frames is reduced when they are read
    values: tuple[float, float]  # of black and of white, as the model sees them

    @model_validator(mode="after")
    def _check(self) -> "Film":
        lengths = self.num_frames, *self.size
        if any(length % part for length, part in zip(lengths, self.patch, strict=True)):
            raise ValueError(f"data.video.patch {self.patch}: expected divisors of num_frames and size, {lengths}")
        if self.values[0] == self.values[1]:
            raise ValueError(f"data.video.values {self.values}: expected two different numbers")
        return self

    @property
    def seconds(self) -> float:
        """The length of the part that a model gets."""
        return self.num_frames / self.frame_rate

    def stream(self) -> VideoStream:
        """The stream `video`."""
        lengths = self.num_frames, *self.size
        return VideoStream(
            name="video",
            modality="video",
            grid=tuple(length // part for length, part in zip(lengths, self.patch, strict=True)),
            channels=3 * math.prod(self.patch),
            masked=True,
            **self.model_dump(exclude={"num_frames", "size"}),
        )


class RecordedConfig(DataConfig):
    """What a model gets of each recording; a part of it in time, the same of sound and film."""

    audio: Annotated[RawSound | MelSound, Field(discriminator="kind")] | None
    video: Film | None

    @model_validator(mode="after")
    def _check(self) -> "RecordedConfig":
        if self.audio is None and self.video is None:
            raise ValueError("data.audio and data.video are None: expected at least one of them")
        if self.audio and self.video and not math.isclose(self.audio.seconds, self.video.seconds, rel_tol=1e-3):
            raise ValueError(
                f"data.audio is of {self.audio.seconds:g} s of a recording, data.video of {self.video.seconds:g} s:"
                " expected the same length"
            )
        return self

    def streams(self) -> tuple[Stream, ...]:
        """The streams of every example."""
        return tuple(section.stream() for section in (self.audio, self.video) if section is not None)
