"""Points from the bytes of a user's file: a mesh, or points as they are.

A mesh is sampled at random, seeded by its bytes: the same file gives the same points. Such a sample has no order, so any
prefix is a uniform sample too. An order in which they are also well spread, `surface.farthest_first`,
would take 0.3 s for 8,192 points, where reading and sampling a mesh takes about 10 ms: `read_well_spread` has it, for the
files of users of a model that was trained on such clouds.
"""

import functools
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from perceiver_jax.readers import BadFile, point_arrays, stand_ins, surface
from perceiver_jax.readers.glb import read_glb
from perceiver_jax.readers.obj import read_obj
from perceiver_jax.readers.off import read_off
from perceiver_jax.readers.ply import read_ply
from perceiver_jax.readers.shape_formats import suffix_of
from perceiver_jax.readers.stl import read_stl
from perceiver_jax.readers.surface import Mesh

MAX_BYTES = 1_000_000_000
Vertical = Literal["z", "y"]  # the axis that is up in files of a format that does not say; here z always is

_UPRIGHT_Y = (".glb",)  # by their standard
_FAR = 1000.0  # extents from the origin: beyond, float32 has few digits left for a shape


def read_points(
    data: bytes, suffix: str, num_points: int, vertical: Vertical, density: int = 1, repeat: bool = True
) -> Float32[np.ndarray, "P 3"]:
    """The points of a file; of a mesh `density` times `num_points`, drawn uniformly from its surface.

    Points that a file lists are all kept. More than `num_points` come in a random order, since files list them in that
    of a scan and evaluation takes the first; fewer are repeated in their order, if `repeat`. Raises BadFile for a file
    without any.
    """
    shape, rng = read_shape(data, suffix, vertical), surface.generator(data, 0)
    if isinstance(shape, Mesh):
        points = surface.sample(shape, density * num_points, rng) * surface.half_side(shape)
        return points.astype(np.float32)
    points = _fitted(shape).astype(np.float32)
    if len(points) > num_points:
        return rng.permutation(points)
    return np.resize(points, (num_points, 3)) if repeat else points


def read_well_spread(data: bytes, suffix: str, num_points: int, vertical: Vertical) -> Float32[np.ndarray, "P 3"]:
    """`num_points` points of a file, every prefix of them well spread; a mesh's are in the unit cube.

    Of points that a file lists at most `OVERSAMPLING` for each that is kept are considered, drawn at random; fewer than
    `num_points` are repeated. Raises as `read_points`.
    """
    shape, rng = read_shape(data, suffix, vertical), surface.generator(data, 0)
    if isinstance(shape, Mesh):
        return surface.well_spread(shape, num_points, rng).astype(np.float32)
    points, most = _fitted(shape), surface.OVERSAMPLING * num_points
    if len(points) > most:
        points = rng.choice(points, most, replace=False)
    if len(points) > num_points:
        points = surface.farthest_first(points, num_points)
    return np.resize(points.astype(np.float32), (num_points, 3))


def read_shape(data: bytes, suffix: str, vertical: Vertical) -> Mesh | Float64[np.ndarray, "P 3"]:
    """What a file holds, z up: a mesh, or one point or more; its bytes tell the format of one without suffix.

    Raises BadFile.
    """
    suffix = suffix.lower() or suffix_of(data)
    if suffix not in SUFFIXES:
        raise BadFile("format-not-allowed", f"is {suffix or 'without suffix'}; {', '.join(SUFFIXES)} are read")
    if len(data) > MAX_BYTES:
        raise BadFile("too-large", f"has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    if not data:
        raise BadFile("empty-file", "has no bytes")
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise BadFile("web-page", "looks like a web page: the download failed")
    stand_ins.check(data)
    shape = _READERS[suffix](data)
    is_mesh = isinstance(shape, Mesh)
    if not is_mesh and not len(shape):
        raise BadFile("no-points", "has no points")
    if vertical == "z" and suffix not in _UPRIGHT_Y:
        return shape
    return Mesh(_turned(shape.vertices), shape.faces) if is_mesh else _turned(shape)


_READERS = {
    ".off": read_off,
    ".obj": read_obj,
    ".ply": read_ply,
    ".stl": read_stl,
    ".glb": read_glb,
    ".npy": point_arrays.read_npy,
    ".npz": point_arrays.read_npz,
    **dict.fromkeys((".xyz", ".txt", ".csv"), point_arrays.read_text),
    ".pts": functools.partial(point_arrays.read_text, has_count=True),
}
SUFFIXES = tuple(_READERS)


def _turned(points: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P 3"]:
    """Points whose y was up, with z up: what was in front stays in front, x stays."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def _fitted(points: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P 3"]:
    """The points, moved and scaled only as far as they would lose their shape as float32."""
    largest = np.abs(points).max()
    if largest > 1e30:
        points = points / largest
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    if np.abs(middle).max() > _FAR * (high - low).max():
        points = points - middle
    return points
