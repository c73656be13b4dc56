"""Pictures: from files to features, random for training and the same every time for evaluation."""

import multiprocessing
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

from perceiver_jax import readers
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import Stream
from perceiver_jax.modalities.image import affine, mix, randaugment
from perceiver_jax.modalities.image.config import Affine, AugmentConfig, Inception, MixupCutmix, NoAugment
from perceiver_jax.modalities.image.crop import MAX_VIEWS, centre_box, coordinates, cut, fitted, random_box, resize, view_box
from perceiver_jax.readers import pictures
from perceiver_jax.report.maps import draw_attention_maps, squared

Picture = UInt8[np.ndarray, "H W C"]
Features = UInt8[np.ndarray, "h w F"] | Float32[np.ndarray, "h w F"]

NAMED = 5  # of a user's files that are resized
_RESIZED: Counter[tuple[int, ...]] = Counter()  # by size of the inputs, how many of those there have been
_SAID: dict[tuple[int, ...], object] = {}  # by size of the inputs, that pictures of a data set are resized


class ImageStream(Stream):
    """Pictures of one size; their grid is (height, width)."""

    modality: Literal["image"]
    masked: Literal[False]
    upright: bool  # whether files of the data are turned as EXIF says; a user's own file always is
    mean: tuple[float, ...]  # per channel, of pixels from 0 to 255 of the whole train split
    std: tuple[float, ...]


def grey_pictures(grid: tuple[int, int], mean: float, std: float) -> ImageStream:
    """The stream `image` of grey pictures, with the mean and standard deviation of their train split."""
    return ImageStream(
        name="image", modality="image", grid=grid, channels=1, masked=False, upright=True, mean=(mean,), std=(std,)
    )


class Image:
    """Processing of pictures: a Modality."""

    Stream, Augment, suffixes, seconds = ImageStream, AugmentConfig, pictures.SUFFIXES, None

    def __init__(self, stream: ImageStream, augment: NoAugment | Affine | Inception):
        self.stream, self.augment = stream, augment

    @property
    def num_coordinates(self) -> int:
        """2 where a pixel says where in the whole picture it was (y, x), otherwise 0."""
        return 2 if isinstance(self.augment, Inception) and self.augment.position_frame == "image" else 0

    @property
    def max_views(self) -> int:
        """Centre and corners and their mirror images where pictures are cropped, otherwise the picture itself."""
        return MAX_VIEWS if isinstance(self.augment, Inception) else 1

    @property
    def mixes(self) -> bool:
        """Whether mixup and CutMix are on."""
        return isinstance(self.augment, Inception) and isinstance(self.augment.mix, MixupCutmix)

    def read(self, given: bytes | Picture, name: str, moment: float = 0.0) -> Picture:
        """The picture; raises Failure(DATA) with its name where the bytes are not a picture.

        The first one of a data set that will be resized is named on stderr.
        """
        if not isinstance(given, bytes):
            return given
        with readers.named("picture", name):
            picture = pictures.decode(given, self.stream.upright)
        if self._resizes(picture) and multiprocessing.parent_process() is None:  # workers would each say so
            token = object()
            if _SAID.setdefault(self.stream.grid, token) is token:  # threads read too
                print(f"{self._resizing(picture, name)}, and so are others of another size", file=sys.stderr)
        return picture

    def holds(self, given: bytes | Picture) -> bool:
        """Not used: pictures are of no recording."""
        raise NotImplementedError("pictures are of no recording")

    def read_file(self, data: bytes, name: str) -> Picture:
        """The picture in a user's file, of any size, upright; raises Failure(DATA) with its name.

        That it will be resized is said on stderr, of the first `NAMED` with their names.
        """
        with readers.named("picture", name):
            picture = pictures.decode(data, upright=True)
        if self._resizes(picture):
            _RESIZED[self.stream.grid] += 1
            if _RESIZED[self.stream.grid] <= NAMED:
                more = ", and so are others of another size" if _RESIZED[self.stream.grid] == NAMED else ""
                print(self._resizing(picture, name) + more, file=sys.stderr)
        return picture

    def training(self, picture: Picture, rng: np.random.Generator) -> Features:
        """The picture at the inputs' size, changed at random, with its pixels' coordinates if asked for."""
        config, grid = self.augment, self.stream.grid
        if not isinstance(config, Inception):
            same = self._of_size(picture)
            return affine.random_warp(same, config, rng) if isinstance(config, Affine) else same
        whole = picture.shape[:2]
        box = random_box(whole, config.crop, grid, rng) or centre_box(whole, config.evaluation_crop, grid)
        flip = bool(rng.random() < config.flip_probability)
        part = cut(picture, box, flip)
        if config.randaugment is not None:
            part = randaugment.random_operations(part, config.randaugment, rng)
        features = resize(part, grid)
        # RandAugment's moves leave the coordinates alone: a pixel says where it would have been seen.
        return _with_positions(features, coordinates(whole, box, grid, flip)) if self.num_coordinates else features

    def evaluation(self, picture: Picture, view: int) -> Features:
        """The picture at the inputs' size; of pictures of any size the centre, or another view of `max_views`."""
        config, grid = self.augment, self.stream.grid
        if not isinstance(config, Inception):
            return self._of_size(picture)
        whole = picture.shape[:2]
        box, flip = view_box(whole, config.evaluation_crop, grid, view)
        features = resize(cut(picture, box, flip), grid)
        return _with_positions(features, coordinates(whole, box, grid, flip)) if self.num_coordinates else features

    def mixed(self, first: Features, second: Features, slot: int, rng: np.random.Generator) -> tuple[Features, float]:
        """One picture from two, for a slot of the global batch, and the portion of it that is the first's."""
        return mix.mixed(first, second, self.augment.mix, slot, rng)

    def normalize(
        self, features: UInt8[np.ndarray, "*B h w F"] | Float32[np.ndarray, "*B h w F"]
    ) -> Float32[np.ndarray, "*B h w F"]:
        """Features less `mean`, over `std`, per channel; coordinates, the channels after those, stay as they are."""
        mean, std = self.stream.mean, self.stream.std
        *rows, width, channels = features.shape
        extra = channels - len(mean)
        # Row by row: NumPy takes four times as long over pixels of three channels.
        result = features.reshape(*rows, width * channels) - np.tile(np.array((*mean, *[0] * extra), np.float32), width)
        result /= np.tile(np.array((*std, *[1] * extra), np.float32), width)
        return result.reshape(features.shape)

    def picture(self, inputs: Float32[np.ndarray, "h w F"]) -> Float32[np.ndarray, "h w C"]:
        """The picture as it was before it was normalised, from 0 to 1; its coordinates, if any, left out."""
        mean, std = (np.asarray(numbers, np.float32) for numbers in (self.stream.mean, self.stream.std))
        return np.clip((inputs[..., : len(mean)] * std + mean) / 255, 0, 1)

    def shown(self, inputs: Float32[np.ndarray, "h w F"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """The picture, as large as fits, its middle in the middle of white."""
        return squared(self.picture(inputs), side)

    def draw_maps(
        self,
        inputs: Float32[np.ndarray, "h w F"],
        maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
        output: Path,
        latents: Sequence[int] | None,
        overlay: bool,
    ) -> None:
        """Draws figure 3 for one picture; with `overlay` each map is the picture, dark where a latent attends least."""
        on_grid = [(title, logits.reshape(-1, *self.stream.grid)) for title, logits in maps]
        draw_attention_maps(self.picture(inputs), on_grid, output, latents, overlay)

    def _of_size(self, picture: Picture) -> UInt8[np.ndarray, "h w c"]:
        """The picture itself, or its centre at the inputs' size; for a model of grey ones, its grey."""
        channels = self.stream.channels
        if (channels, picture.shape[-1]) == (1, 3):
            picture = np.rint(picture @ randaugment.GREY[:, None]).astype(np.uint8)
        if picture.shape[-1] != channels:
            found = f"{picture.shape[-1]} channels"
            raise Failure(Code.DATA, "a picture does not match the inputs", found=found, expected=f"{channels}")
        return fitted(picture, self.stream.grid)

    def _resizes(self, picture: Picture) -> bool:
        """Whether a picture is resized although the augmentation is for pictures of the inputs' size."""
        return not isinstance(self.augment, Inception) and picture.shape[:2] != self.stream.grid

    def _resizing(self, picture: Picture, name: str) -> str:
        (height, width), (rows, columns) = picture.shape[:2], self.stream.grid
        return f"note: {name} is {width} x {height} pixels; its centre was resized to {columns} x {rows}"


def _with_positions(
    features: Float32[np.ndarray, "h w C"], positions: Float32[np.ndarray, "h w 2"]
) -> Float32[np.ndarray, "h w F"]:
    return np.concatenate([features, positions], axis=-1)


MEMBER = Image
