"""Polygons into triangles: fans where those cover the polygon, ear clipping where it is concave."""

import numpy as np
from jaxtyping import Float64, Int64

_ROUNDING = 1e-6  # of a polygon's area: what six decimals make of corners on one line
_STRAIGHT = 1e-12  # of the square of a polygon's extent, twice the area of three corners that count as on one line

Points = Float64[np.ndarray, "... 2"]


def triangles(
    vertices: Float64[np.ndarray, "V 3"], polygons: Int64[np.ndarray, "n corners"]
) -> Int64[np.ndarray, "n corners-2 3"]:
    """The triangles of each polygon, turned as it is: the fan of its first corner, unless that reaches outside.

    Exact for a polygon that lies in a plane and does not cross itself; one that is bent is judged by its projection along
    its mean normal.
    """
    found = polygons[:, _fan(polygons.shape[1])]
    if polygons.shape[1] == 3:
        return found
    with np.errstate(all="ignore"):  # a fan whose area overflows stays
        corners = np.ascontiguousarray(vertices.T)[:, polygons.T]  # coordinates first: three times as fast
        sides = corners[:, 1:] - corners[:, :1]
        (x, y, z), (u, v, w) = sides[:, :-1], sides[:, 1:]
        across = np.stack([y * w - z * v, z * u - x * w, x * v - y * u])  # the fan's triangles: normals as long as areas
        normals = across.sum(axis=1)
        folded = (across * normals[:, None]).sum(axis=0).min(axis=0) < -_ROUNDING * np.square(normals).sum(axis=0)
    for i in np.flatnonzero(folded):
        found[i] = polygons[i, _ears(_flat(corners[..., i].T, normals[:, i]))]
    return found


def _fan(corners: int) -> Int64[np.ndarray, "triangles 3"]:
    second = np.arange(1, corners - 1)
    return np.stack([np.zeros_like(second), second, second + 1], axis=1)


def _flat(corners: Float64[np.ndarray, "corners 3"], normal: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "corners 2"]:
    """A polygon from the side where it runs counterclockwise, its first corner at the origin, coordinates of at most 1."""
    axis = np.eye(3)[np.argmin(np.abs(normal))]
    right = np.cross(axis, normal)
    plane = np.stack([right, np.cross(normal, right)])
    flat = (corners - corners[0]) @ (plane / np.linalg.norm(plane, axis=1, keepdims=True)).T
    return flat / np.abs(flat).max()


def _ears(points: Float64[np.ndarray, "corners 2"]) -> Int64[np.ndarray, "corners-2 3"]:
    """The triangles of a polygon that runs counterclockwise: its corners are cut off, round after round."""
    left, found, before = list(range(len(points))), [], len(points) + 1
    # Cutting makes no corner reflex, and a triangle that holds any corner holds one of these.
    obstacles = _turns(np.roll(points, 1, axis=0), points, np.roll(points, -1, axis=0)) <= _STRAIGHT
    while 3 < len(left) < before:
        before, i = len(left), 0
        while i < len(left) and len(left) > 3:
            a, b, c = left[i - 1], left[i], left[(i + 1) % len(left)]
            blocking, obstacles[b] = obstacles[b], False
            if _is_ear(points[[a, b, c]], points[obstacles]):
                found.append((a, b, c))
                del left[i]
            else:
                obstacles[b] = blocking
                i += 1
    return np.concatenate([np.array(found, np.int64).reshape(-1, 3), np.array(left)[_fan(len(left))]])


def _is_ear(ear: Float64[np.ndarray, "3 2"], obstacles: Float64[np.ndarray, "others 2"]) -> bool:
    """Whether the middle corner can be cut off: it is straight, or nothing is in its triangle but where the cut ends."""
    a, b, c = ear
    turn = _turns(a, b, c)
    if turn <= _STRAIGHT:
        return bool(turn >= -_STRAIGHT)
    inside = np.minimum(_turns(a, b, obstacles), np.minimum(_turns(b, c, obstacles), _turns(c, a, obstacles)))
    apart = [np.abs(obstacles - end).max(axis=1) > _STRAIGHT for end in (a, c)]
    return not ((inside >= -_STRAIGHT) & apart[0] & apart[1]).any()


def _turns(a: Points, b: Points, c: Points) -> Float64[np.ndarray, "..."] | np.float64:
    """Twice the areas of triangles, positive where they run counterclockwise."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
