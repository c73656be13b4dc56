"""Point clouds: from files to coordinates in a cube, random for training and the same every time for evaluation.

A point has no features but its coordinates, which each example brings with it. Where a stream is masked, a cloud of fewer
points than the inputs have room for is those points; otherwise there must be enough.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64, Integer, UInt8

from perceiver_jax import readers
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import Stream
from perceiver_jax.modalities.points.config import AugmentConfig, NoAugment, Points
from perceiver_jax.readers import shapes
from perceiver_jax.report.clouds import cloud, draw_attention_clouds

PLACEMENT_SEED = 0  # of the points' order on a grid of several axes in evaluation

Cloud = Float32[np.ndarray, "P 3"]
Features = Float32[np.ndarray, "*grid 3"]


class PointStream(Stream):
    """Point clouds; their grid is how many there are, or how they are arranged for models of pictures."""

    modality: Literal["points"]
    channels: Literal[0]
    well_spread: bool  # whether a user's own file is thinned to points far from each other, as the data set was
    vertical: shapes.Vertical  # the axis that is up in such a file, where its format leaves that open


class PointCloud:
    """Processing of point clouds: a Modality."""

    Stream, Augment, suffixes = PointStream, AugmentConfig, shapes.SUFFIXES
    num_coordinates, max_views, mixes, seconds = 3, None, False, None

    def __init__(self, stream: PointStream, augment: NoAugment | Points):
        self.stream, self.augment = stream, augment

    def read(self, given: bytes | Cloud, name: str, moment: float = 0.0) -> Cloud:
        """The points; raises Failure(DATA) with the name where all are equal."""
        cloud = self.read_file(given, name) if isinstance(given, bytes) else given
        if not np.isfinite(cloud).all():
            raise Failure(Code.DATA, "point cloud non-finite", name, found="a coordinate that is not finite")
        if (cloud == cloud[:1]).all():
            raise Failure(Code.DATA, "point cloud degenerate", name, found="all points are equal")
        return cloud

    def holds(self, given: bytes | Cloud) -> bool:
        """Not used: clouds are of no recording."""
        raise NotImplementedError("clouds are of no recording")

    def read_file(self, data: bytes, name: str) -> Cloud:
        """The points in a file's bytes, made as the data set's were; raises Failure(DATA) with its name."""
        with readers.named("shape", name):
            suffix, room, vertical = Path(name).suffix.lower(), self._room, self.stream.vertical
            if self.stream.well_spread:
                return shapes.read_well_spread(data, suffix, room, vertical)
            return shapes.read_points(data, suffix, room, vertical, repeat=not self.stream.masked)

    def training(self, cloud: Cloud, rng: np.random.Generator) -> Features:
        """As many of a cloud's points as there are inputs, moved at random."""
        config = self.augment
        if not isinstance(config, Points):
            return self.evaluation(cloud, 0)
        count = self._count(cloud)
        chosen = np.arange(count)
        if config.subset == "random" and count < len(cloud):
            chosen = rng.choice(len(cloud), count, replace=False, shuffle=False)
        # The paper's order: about the mean, each point scaled, about the mean again and into the cube.
        points = _in_cube(cloud[self._arranged(chosen, rng)], config.extent)
        points = points @ _turn(config.rotate_degrees * rng.uniform(-1, 1))
        points *= rng.uniform(1 - config.point_scale, 1 + config.point_scale, (count, 1))
        points += rng.uniform(-config.jitter, config.jitter, (count, 3))
        points = _in_cube(points, config.extent and 1.0) * rng.uniform(1 - config.object_scale, 1 + config.object_scale)
        points += rng.uniform(-config.object_translate, config.object_translate, 3)
        return self._features(points)

    def evaluation(self, cloud: Cloud, view: int) -> Features:
        """A cloud's first points, in the cube; those that follow them in later views, and the first again."""
        count = self._count(cloud)
        chosen = (view * count + np.arange(count)) % len(cloud)
        order = self._arranged(chosen, np.random.default_rng(PLACEMENT_SEED))
        return self._features(_in_cube(cloud[order], self.augment.extent))

    def mixed(self, first: Features, second: Features, slot: int, rng: np.random.Generator) -> tuple[Features, float]:
        """Not used: clouds have no mixup."""
        raise NotImplementedError("clouds are never mixed")

    def normalize(self, features: Float32[np.ndarray, "*shape 3"]) -> Float32[np.ndarray, "*shape 3"]:
        """The coordinates as they are: each cloud is in the cube already."""
        return features

    def shown(self, inputs: Float32[np.ndarray, "*grid 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """The cloud from the side that shows most of it, nearer points brighter."""
        return cloud(inputs.reshape(-1, 3), side)

    def draw_maps(
        self,
        inputs: Float32[np.ndarray, "*grid 3"],
        maps: Sequence[tuple[str, Float[np.ndarray, "N M"]]],
        output: Path,
        latents: Sequence[int] | None,
        overlay: bool,
    ) -> None:
        """Draws figure 3 for one cloud: its points in the colours of their logits, whatever `overlay` says."""
        del overlay
        draw_attention_clouds(inputs.reshape(-1, 3), maps, output, latents)

    @property
    def _room(self) -> int:
        return math.prod(self.stream.grid)

    def _count(self, cloud: Cloud) -> int:
        """How many points the inputs take; raises Failure(CONFIG) where the cloud has fewer and the stream no mask."""
        if len(cloud) < self._room and not self.stream.masked:
            found, expected = f"{len(cloud):,} points", f"at least {self._room:,}, the product of data.grid"
            hint = "a smaller data.grid, or prepare the data set with more points"
            raise Failure(Code.CONFIG, "a point cloud has fewer points than the model has inputs", "", found, expected, hint)
        return min(len(cloud), self._room)

    def _arranged(self, chosen: Integer[np.ndarray, " M"], rng: np.random.Generator) -> Integer[np.ndarray, " M"]:
        """The points in the order in which they fill the grid: random on several axes (table 4), where neighbours matter."""
        return rng.permutation(chosen) if len(self.stream.grid) > 1 else chosen

    def _features(self, points: Float64[np.ndarray, "M 3"]) -> Features:
        features = (self.augment.half_side * points).astype(np.float32)
        return features if self.stream.masked else features.reshape(*self.stream.grid, 3)


def _in_cube(
    points: Float32[np.ndarray, "M 3"] | Float64[np.ndarray, "M 3"], extent: float | None
) -> Float64[np.ndarray, "M 3"]:
    """The points about their mean, by one factor such that `extent` becomes 1; None: the largest coordinate there is.

    Raises Failure(DATA) where all are equal.
    """
    points = points.astype(np.float64)  # some files have coordinates of 1e11
    points -= points.mean(axis=0)
    largest = np.abs(points).max()
    if largest == 0:
        raise Failure(Code.DATA, "point cloud degenerate", found="all points taken are equal")
    points /= extent or largest
    return points


def _turn(degrees: float) -> Float64[np.ndarray, "3 3"]:
    """What rows (x, y, z) are multiplied with to turn about the z axis, from x to y."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


MEMBER = PointCloud
