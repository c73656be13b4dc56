"""A folder of shapes, a folder a class: anyone's own meshes and point clouds, laid out as `data.class_folders` says.

Every file is read once a process, at its first use, and kept as float32: a mesh as `DENSITY` times the inputs, which for
2,048 inputs is 98 kB, so 1 GB for 10,000 meshes. With `num_workers` each of the processes has its own.
"""

import functools
import math
import os
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from perceiver_jax import readers
from perceiver_jax.data import class_folders
from perceiver_jax.data.class_folders import Folder, Kind
from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.readers import shapes
from perceiver_jax.section import Count, Tiny

DENSITY = (
    4  # times the inputs, of which training takes others each time; the whole surface each time would cost as much again
)
SHAPES = Kind(shapes.SUFFIXES, "shapes", f"files of {', '.join(shapes.SUFFIXES)}", "*.ply")


class Config(DataConfig):
    """Where the folder is, how it is split and how many points the model sees."""

    source: Literal["point_folder"]
    data_dir: str
    # How the points are arranged: (2048,), or (44, 44) for models of pictures; their product is how many there are.
    grid: Annotated[tuple[Count, ...], Tiny(32)]
    test_percent: Annotated[float, Field(gt=0, lt=100)]  # held out by a hash of each name, in a folder without a test folder


class Shapes:
    """Random access to the shapes of a split: `[i]` is {"points": float32 (P, 3), "label": int, "name": path}."""

    def __init__(self, folder: Folder, split: str, num_points: int):
        self._root, self._shapes, self._num_points = str(folder.root), folder.splits[split], num_points

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index: int) -> dict[str, Float32[np.ndarray, "P 3"] | int | str]:
        name, label = self._shapes[index]
        path = os.path.join(self._root, name)
        return {"points": read_shape(path, self._num_points), "label": label, "name": path}


def spec(config: Config) -> Spec:
    """What the folder's names say; of one that is not there yet, what `class_folders.known` puts in its place.

    Raises Failure(DATA) where the names make no data set.
    """
    classes, num_examples = class_folders.known(config.data_dir, config.test_percent, SHAPES)
    return Spec(
        modality="points",
        shape=(*config.grid, 0),
        classes=classes,
        num_examples=num_examples,
        mean=(),
        std=(),
        baselines={},
    )


def identity(config: Config) -> str:
    """The SHA-256 of the names and sizes of all shapes."""
    return _folder(config).identity


def load(config: Config, split: Literal["train", "test"]) -> Shapes:
    """The shapes of a split, mixed in the same way everywhere."""
    return Shapes(_folder(config), split, math.prod(config.grid))


@functools.cache  # of this process
def read_shape(path: str, num_points: int) -> Float32[np.ndarray, "P 3"]:
    """The points of a file, read-only: at least `num_points`, of a mesh `DENSITY` times as many.

    Raises Failure(DATA) naming the file where it holds none.
    """
    data = class_folders.read_file(path, "shape")
    with readers.named("shape", path):
        points = shapes.read_points(data, os.path.splitext(path)[1], num_points, DENSITY)
    points.flags.writeable = False
    return points


def _folder(config: Config) -> Folder:
    return class_folders.list_folder(class_folders.root_of(config.data_dir), config.test_percent, SHAPES)
