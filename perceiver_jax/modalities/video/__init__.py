"""Films: some frames in a row, in patches of space and time (section 4.2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8
from pydantic import model_validator

from perceiver_jax import readers
from perceiver_jax.modalities import Stream, start_of, tell
from perceiver_jax.modalities.image.crop import Box, centre_box, random_box
from perceiver_jax.modalities.video.colour import changed, mean_colour, random_colour
from perceiver_jax.modalities.video.config import AugmentConfig, Film, NoAugment
from perceiver_jax.readers.opencv import opencv
from perceiver_jax.readers.recordings import FILMS, FileRecording, Recording
from perceiver_jax.report.films import draw_film_maps, tiled
from perceiver_jax.section import Count, Positive

Frames = UInt8[np.ndarray, "T H W 3"]
Features = UInt8[np.ndarray, "patches F"]


class VideoStream(Stream):
    """Films; their grid is (time, height, width) in patches, their channels the values of a patch."""

    modality: Literal["video"]
    grid: tuple[Count, Count, Count]
    masked: Literal[True]  # a recording may be shorter, or without film
    frame_rate: Positive  # frames a second
    patch: tuple[Count, Count, Count]  # frames, rows and columns of each input
    read_side: Count  # pixels to which the shorter side of frames is reduced when they are read; smaller ones stay
    values: tuple[float, float]  # of black and of white, as the model sees them

    @model_validator(mode="after")
    def _check(self) -> "VideoStream":
        if self.channels != 3 * np.prod(self.patch):
            raise ValueError(f"channels {self.channels}: expected 3 times patch {self.patch}")
        return self

    @property
    def num_frames(self) -> int:
        """The frames of the inputs."""
        return self.grid[0] * self.patch[0]

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of the inputs, in pixels."""
        return self.grid[1] * self.patch[1], self.grid[2] * self.patch[2]


class Video:
    """Processing of films: a Modality."""

    Stream, Augment, suffixes = VideoStream, AugmentConfig, FILMS
    num_coordinates, max_views, mixes = 0, None, False

    def __init__(self, stream: VideoStream, augment: NoAugment | Film):
        self.stream, self.augment = stream, augment

    @property
    def seconds(self) -> float:
        """The length of the film."""
        return self.stream.num_frames / self.stream.frame_rate

    def read(self, given: Recording, name: str, moment: float) -> Frames | None:
        """The frames of the part at a moment; None where there are none; raises Failure(DATA) with the name."""
        stream = self.stream
        with readers.named("recording", name):
            tell(given, name)
            start = start_of(given, moment, self.seconds)
            frames = given.frames(start, stream.num_frames, stream.frame_rate, stream.read_side)
        return frames if frames is not None and len(frames) else None

    def holds(self, given: Recording) -> bool:
        """Whether a recording has a film."""
        return given.frames(0.0, 0, self.stream.frame_rate, None) is not None

    def read_file(self, data: bytes | Path, name: str) -> FileRecording:
        """The recording in a user's file."""
        return FileRecording(data)

    def training(self, frames: Frames, rng: np.random.Generator) -> Features:
        """A random part of the frames, the same of each, in other colours, as patches."""
        config, whole = self.augment, frames.shape[1:3]
        if not isinstance(config, Film):
            return self.evaluation(frames, 0)
        box = random_box(whole, config.crop, self.stream.size, rng)
        box = box or centre_box(whole, config.evaluation_crop, self.stream.size)
        flip = bool(rng.random() < config.flip_probability)
        film = self._cut(frames, box, flip)
        affine = None if config.colour is None else random_colour(config.colour, mean_colour(film), rng)
        return self._patches(film if affine is None else changed(film, affine))

    def evaluation(self, frames: Frames, view: int) -> Features:
        """The centre of the frames as patches. What a view is of has been read."""
        size = self.stream.size
        return self._patches(self._cut(frames, centre_box(frames.shape[1:3], self.augment.evaluation_crop, size), False))

    def mixed(self, first: Features, second: Features, slot: int, rng: np.random.Generator) -> tuple[Features, float]:
        """Not used: films have no mixup."""
        raise NotImplementedError("films are never mixed")

    def normalize(self, features: Shaped[np.ndarray, "*shape F"]) -> Float32[np.ndarray, "*shape F"]:
        """Bytes as numbers between the values of black and of white."""
        black, white = self.stream.values
        scaled = features * np.float32((white - black) / 255)
        scaled += np.float32(black)
        return scaled

    def shown(self, inputs: Float32[np.ndarray, "*grid F"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """Four of the frames, the first one, the last one and two between."""
        frames = self._frames(inputs)
        chosen = np.linspace(0, len(frames) - 1, 4).round().astype(int)
        return tiled(frames[chosen], side)

    def draw_maps(
        self,
        inputs: Float32[np.ndarray, "*grid F"],
        maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
        output: Path,
        latents: Sequence[int] | None,
        overlay: bool,
    ) -> None:
        """Draws figures 16 to 19: the first frame of every patch in time, and below it the maps at that time."""
        on_grid = [(title, logits.reshape(len(logits), -1, *self.stream.grid[1:])) for title, logits in maps]
        draw_film_maps(self._frames(inputs)[:: self.stream.patch[0]], on_grid, output, latents, overlay)

    def _cut(self, frames: Frames, box: Box, flip: bool) -> UInt8[np.ndarray, "T h w 3"]:
        """One part of all frames at the inputs' size: averaged over areas where it shrinks, otherwise bicubic."""
        cv2, (height, width) = opencv(), self.stream.size
        how = cv2.INTER_AREA if box.height >= height and box.width >= width else cv2.INTER_CUBIC
        film = np.empty((len(frames), height, width, 3), np.uint8)
        parts = frames[:, box.top : box.top + box.height, box.left : box.left + box.width]
        for part, made in zip(parts, film, strict=True):
            cv2.resize(part, (width, height), dst=made, interpolation=how)
        return cv2.flip(film.reshape(-1, width, 3), 1).reshape(film.shape) if flip else film

    def _patches(self, film: UInt8[np.ndarray, "T h w 3"]) -> Features:
        """The values of each patch in a row: frames, rows, columns, colours. The last frame fills up the last patch."""
        (frames, rows, columns), (_, down, right) = self.stream.patch, self.stream.grid
        missing = -len(film) % frames
        film = np.concatenate([film, np.repeat(film[-1:], missing, axis=0)]) if missing else film
        parts = film.reshape(-1, frames, down, rows, right, columns, 3).transpose(0, 2, 4, 1, 3, 5, 6)
        return parts.reshape(-1, self.stream.channels)

    def _frames(self, inputs: Float32[np.ndarray, "*grid F"]) -> Float32[np.ndarray, "T h w 3"]:
        """The frames of inputs that have been normalised, in 0..1."""
        (frames, rows, columns), (_, down, right) = self.stream.patch, self.stream.grid
        black, white = self.stream.values
        parts = inputs.reshape(-1, down, right, frames, rows, columns, 3).transpose(0, 3, 1, 4, 2, 5, 6)
        return np.clip((parts.reshape(-1, down * rows, right * columns, 3) - black) / (white - black), 0, 1)


MEMBER = Video
