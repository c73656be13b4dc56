"""A folder of shapes: a user's own meshes and point clouds, in class folders (`data.class_folders`) or with a list.

Every file is read once a process, at its first use, and kept as float32: a mesh as `DENSITY` times the inputs, which for
2,048 inputs is 98 kB, so 1 GB for 10,000 meshes. With `num_workers` each of the processes has its own.
"""

import functools
import math
import os
from collections.abc import Collection
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import model_validator

from perceiver_jax import readers
from perceiver_jax.data.folder_entries import Kind, read_file
from perceiver_jax.data.folder_source import FolderConfig, FolderSource
from perceiver_jax.modalities.points import PointStream
from perceiver_jax.readers import shapes
from perceiver_jax.readers.shapes import Vertical
from perceiver_jax.section import Count, Tiny

# Times the inputs, of which training takes others each time; sampling the surface each time would cost as much again.
DENSITY = 4
SHAPES = Kind(shapes.SUFFIXES, "shapes", f"files of {', '.join(shapes.SUFFIXES)}", "*.ply")


class Config(FolderConfig):
    """The folder, and how many points the model sees."""

    kind: Literal["point_folder"]
    # How the points are arranged: (2048,), or (44, 44) for models of pictures; their product is how many there are.
    grid: Annotated[tuple[Count, ...], Tiny(32)]
    vertical: Vertical  # the axis that is up in files whose format leaves it open; in .glb files y is, here z always
    few_points: Literal["mask", "repeat"]  # what becomes of a cloud of fewer: the inputs it lacks are masked, or it repeats

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if self.few_points == "mask" and len(self.grid) > 1:
            raise ValueError(f'data.few_points "mask": expected data.grid of one axis, got {self.grid}; try "repeat"')
        return self


class PointFolder(FolderSource):
    """The shapes of a folder."""

    Config = Config

    def __init__(self, config: Config, left_out: Collection[str] = ()):
        repeat = config.few_points == "repeat"
        read = functools.partial(read_shape, num_points=math.prod(config.grid), vertical=config.vertical, repeat=repeat)
        super().__init__(config, SHAPES, ["points"], read, left_out)

    def streams(self) -> tuple[PointStream]:
        """One cloud."""
        masked = self.config.few_points == "mask"
        points = PointStream(
            name="points",
            modality="points",
            grid=self.config.grid,
            channels=0,
            masked=masked,
            well_spread=False,
            vertical=self.config.vertical,
        )
        return (points,)


@functools.cache  # of this process
def read_shape(path: str, num_points: int, vertical: Vertical, repeat: bool) -> Float32[np.ndarray, "P 3"]:
    """The points of a file, z up, read-only: of a mesh `DENSITY` times `num_points`, otherwise those that it lists.

    Raises Failure(DATA) naming the file where it holds none.
    """
    data = read_file(path, "shape")
    with readers.named("shape", path):
        points = shapes.read_points(data, os.path.splitext(path)[1], num_points, vertical, DENSITY, repeat)
    points.flags.writeable = False
    return points


MEMBER = PointFolder
