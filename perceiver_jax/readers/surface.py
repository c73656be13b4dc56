"""Points on the surface of a mesh, and an order of points in which every prefix is well spread.

A mesh's vertices are not a sample of its shape: a wardrobe has 46. Nor can its coordinates be used as they are: some
published files have 1e11 in them, whose products no float32 holds.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from perceiver_jax.readers import BadFile

OVERSAMPLING = 5  # points drawn for each that `well_spread` keeps

_NO_AREA = 1e-15  # of a face in the unit cube: what rounding makes of corners on one line
_NO_WIDTH = 1e-5  # of a cloud by its length: what six decimals, which published clouds have, make of points on one line
_LARGEST = 1e30  # of a coordinate: far from what a float32 cannot hold


class Mesh(NamedTuple):
    """Triangles in space."""

    vertices: Float64[np.ndarray, "vertices 3"]
    faces: Int64[np.ndarray, "faces 3"]  # the rows of their corners in `vertices`


def unusable(mesh: Mesh) -> Bool[np.ndarray, " vertices"]:
    """Which vertices a face has though they are not finite."""
    found = ~np.isfinite(mesh.vertices).all(axis=1)
    if found.any():
        used = np.zeros(len(found), bool)
        used[mesh.faces] = True
        found &= used
    return found


def check_finite(
    points: Float64[np.ndarray, "points 3"],
    where: Callable[[int], str],
    faces: Int64[np.ndarray, "faces 3"] | None = None,
) -> None:
    """Raises BadFile where a point is not finite, naming its row as `where` does; with `faces` only one that they have."""
    bad = ~np.isfinite(points).all(axis=1) if faces is None else unusable(Mesh(points, faces))
    if bad.any():
        row = int(np.argmax(bad))
        raise BadFile("non-finite", f"{where(row)}: ({', '.join(map(str, points[row].tolist()))}) is not finite")


def generator(data: bytes, seed: int) -> np.random.Generator:
    """The random numbers for a file's points: its bytes seed them, not its name, so it gives the same points everywhere."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(data).digest()) + seed)


def sample(mesh: Mesh, num_points: int, rng: np.random.Generator) -> Float64[np.ndarray, "points 3"]:
    """Points drawn uniformly from the surface, in the unit cube: its longest side goes from -1 to 1, around the middle.

    Raises BadFile where there is no surface.
    """
    if not len(mesh.faces):
        raise BadFile("no-faces", "has no faces, so no surface to draw points from")
    corners = _in_unit_cube(mesh.vertices[mesh.faces])
    origin, sides = corners[:, 0], corners[:, 1:] - corners[:, :1]
    areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2
    areas[areas < _NO_AREA] = 0
    if not areas.any():
        raise BadFile("degenerate", "all faces have zero area")
    chosen = rng.choice(len(areas), num_points, p=areas / areas.sum())
    along = rng.random((num_points, 2))  # of a parallelogram; its other half is folded back onto the triangle
    along = np.where(along.sum(axis=1, keepdims=True) > 1, 1 - along, along)
    return origin[chosen] + np.einsum("ps,psx->px", along, sides[chosen])


def half_side(mesh: Mesh) -> float:
    """Half the longest side of what the faces span, in the mesh's own unit: times `sample`, it gives points their size.

    1 where a float32 could not hold such points.
    """
    corners = mesh.vertices[mesh.faces]
    half = float(np.ptp(corners / 2, axis=(0, 1)).max())
    return half if 1 / _LARGEST < half < _LARGEST else 1.0


def check_spread(points: Float32[np.ndarray, "points 3"]) -> None:
    """Raises BadFile where all points are equal or, as far as their rounding shows, on one line: no surface has them."""
    relative = points.astype(np.float64) - points[0]
    squares = np.square(relative).sum(axis=1)
    farthest = int(np.argmax(squares))
    if squares[farthest] == 0:
        raise BadFile("degenerate", "all points are equal")
    across = np.linalg.norm(np.cross(relative, relative[farthest]), axis=1)  # distances from the line, times its length
    if across.max() <= _NO_WIDTH * squares[farthest]:
        raise BadFile("degenerate", "all points are on one line")


def farthest_first(points: Float64[np.ndarray, "points 3"], num_points: int) -> Float64[np.ndarray, "chosen 3"]:
    """`num_points` of the points: first the one farthest from their mean, then always the one farthest from all before.

    Of equal ones the earlier; none twice. There must be that many.
    """
    rows = np.ascontiguousarray(points.T)
    order = np.empty(num_points, np.int64)
    nearest = np.full(len(points), np.inf)  # of each point its squared distance to the chosen ones
    difference = rows - rows.mean(axis=1, keepdims=True)
    farthest = int(np.argmax(np.square(difference).sum(axis=0)))
    for i in range(num_points):
        order[i] = farthest
        np.subtract(rows, rows[:, farthest, None], out=difference)
        np.square(difference, out=difference)
        difference[0] += difference[1]
        difference[0] += difference[2]
        np.minimum(nearest, difference[0], out=nearest)
        nearest[farthest] = -1
        farthest = int(np.argmax(nearest))
    return points[order]


def well_spread(mesh: Mesh, num_points: int, rng: np.random.Generator) -> Float64[np.ndarray, "points 3"]:
    """Points as `sample` gives them, thinned to those farthest from each other: every prefix of them is well spread."""
    return farthest_first(sample(mesh, OVERSAMPLING * num_points, rng), num_points)


def _in_unit_cube(corners: Float64[np.ndarray, "faces 3 3"]) -> Float64[np.ndarray, "faces 3 3"]:
    """The corners of faces, moved and scaled alike; vertices that no face has do not count. Raises BadFile."""
    largest = np.abs(corners).max()
    if largest > 0:
        corners = corners / largest  # first, so that no difference overflows
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    longest = (high - low).max()
    if longest == 0:
        raise BadFile("degenerate", "all points are equal")
    return (corners - (low + high) / 2) * (2 / longest)
