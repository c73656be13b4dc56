"""Point clouds: from files to coordinates in a cube, random for training and the same every time for evaluation.

The names are those that every modality has: see modalities/image. A point has no features but its coordinates, which each
example brings with it: `num_coordinates` of them.
"""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Integer

from perceiver_jax import readers
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.points.config import AugmentConfig, NoAugment, Points
from perceiver_jax.readers import shapes

__all__ = ["AugmentConfig"]

PLACEMENT_SEED = 0  # of where the points stand on a grid of several axes in evaluation

Augment = NoAugment | Points
Cloud = Float32[np.ndarray, "P 3"]
Features = Float32[np.ndarray, "*grid 3"]


def read(cloud: bytes | Cloud, name: str, shape: tuple[int, ...]) -> Cloud:
    """The points that a data set gives, as they are, or those of a person's file, at least as many as `shape` has room for.

    Raises Failure(DATA) with the name where the bytes are no shape, or there are no two places among the points.
    """
    if isinstance(cloud, bytes):
        with readers.named("shape", name):
            cloud = shapes.read_points(cloud, Path(name).suffix.lower(), math.prod(shape[:-1]))
    if not np.isfinite(cloud).all():
        raise Failure(Code.DATA, "point cloud non-finite", name, found="a coordinate that is no finite number")
    if (cloud == cloud[:1]).all():
        raise Failure(Code.DATA, "point cloud degenerate", name, found="no two points in different places")
    return cloud


def training_features(cloud: Cloud, config: Augment, shape: tuple[int, ...], rng: np.random.Generator) -> Features:
    """What a cloud is trained on: as many of its points as `shape` has room for, moved. All chance comes from `rng`."""
    if not isinstance(config, Points):
        return evaluation_features(cloud, config, shape)
    grid, count = shape[:-1], _room(cloud, shape)
    chosen = np.arange(count)
    if config.subset == "random" and count < len(cloud):
        chosen = rng.choice(len(cloud), count, replace=False, shuffle=False)
    # The paper's order: about the mean, each point scaled, about the mean again and into the cube.
    points = _in_cube(cloud[_placed(chosen, grid, rng)], config.extent)
    points = points @ _turn(config.rotate_degrees * rng.uniform(-1, 1))
    points *= rng.uniform(1 - config.point_scale, 1 + config.point_scale, (count, 1))
    points += rng.uniform(-config.jitter, config.jitter, (count, 3))
    points = _in_cube(points, config.extent and 1.0) * rng.uniform(1 - config.object_scale, 1 + config.object_scale)
    points += rng.uniform(-config.object_translate, config.object_translate, 3)
    return _features(points, config, grid)


def evaluation_features(cloud: Cloud, config: Augment, shape: tuple[int, ...]) -> Features:
    """What is evaluated of a cloud: its first points, in the cube."""
    grid, count = shape[:-1], _room(cloud, shape)
    order = _placed(np.arange(count), grid, np.random.default_rng(PLACEMENT_SEED))
    return _features(_in_cube(cloud[order], config.extent), config, grid)


def num_coordinates(config: Augment) -> int:
    """How many channels at the end of each point's features say where it is: all 3."""
    del config
    return 3


def normalize(
    features: Float32[np.ndarray, "*shape 3"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float32[np.ndarray, "*shape 3"]:
    """The coordinates as they are: each cloud fills the cube already."""
    del mean, std
    return features


def mixes(config: Augment) -> bool:
    """Whether each slot of a training batch is made of two examples: never."""
    del config
    return False


def mixed(first: Features, second: Features, config: Augment, slot: int, rng: np.random.Generator) -> tuple[Features, float]:
    """Nothing, and is not asked for: clouds are never mixed."""
    raise AssertionError("clouds are never mixed")


def _room(cloud: Cloud, shape: tuple[int, ...]) -> int:
    """How many points the inputs take; raises Failure(CONFIG) where the cloud has fewer."""
    count = math.prod(shape[:-1])
    if len(cloud) < count:
        found, expected = f"{len(cloud):,} points", f"at least {count:,}, the product of data.grid"
        hint = "a smaller data.grid, or prepare the data set with more points"
        raise Failure(Code.CONFIG, "a point cloud has fewer points than the model has inputs", "", found, expected, hint)
    return count


def _placed(chosen: Integer[np.ndarray, " M"], grid: tuple[int, ...], rng: np.random.Generator) -> Integer[np.ndarray, " M"]:
    """The points in the order in which they fill the grid: by chance on several axes (table 4), where neighbours matter."""
    return rng.permutation(chosen) if len(grid) > 1 else chosen


def _in_cube(
    points: Float32[np.ndarray, "M 3"] | Float64[np.ndarray, "M 3"], extent: float | None
) -> Float64[np.ndarray, "M 3"]:
    """The points about their mean, by one factor such that `extent` becomes 1; None: the largest coordinate there is.

    Raises Failure(DATA) where all are in one place.
    """
    points = points.astype(np.float64)  # some files have coordinates of 1e11
    points -= points.mean(axis=0)
    largest = np.abs(points).max()
    if largest == 0:
        raise Failure(Code.DATA, "point cloud degenerate", found="no two of the points taken in different places")
    points /= extent or largest
    return points


def _turn(degrees: float) -> Float64[np.ndarray, "3 3"]:
    """What rows (x, y, z) are multiplied with to turn about the z axis, from x to y."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def _features(points: Float64[np.ndarray, "M 3"], config: Augment, grid: tuple[int, ...]) -> Features:
    return (config.half_side * points).astype(np.float32).reshape(*grid, 3)
