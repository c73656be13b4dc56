"""Polygons into triangles: fans where those cover the polygon, ear clipping where it is concave."""

import bisect
import collections

import numpy as np
from jaxtyping import Float64, Int64

_ROUNDING = 1e-6  # of a polygon's area: what six decimals make of corners on one line
_VISITS = 2  # of each of its vertices on average: a polygon that comes by more often crosses itself
_STRAIGHT = 1e-12  # of the square of a polygon's extent, twice the area of three corners that count as on one line

Points = Float64[np.ndarray, "... 2"]


def triangles(
    vertices: Float64[np.ndarray, "V 3"], polygons: Int64[np.ndarray, "n corners"]
) -> Int64[np.ndarray, "n corners-2 3"]:
    """The triangles of each polygon, turned as it is: the fan of its first corner, unless that reaches outside.

    Exact for a polygon that lies in a plane and does not cross itself; one that is bent is judged by its projection along
    its mean normal.
    """
    found = polygons[:, fan(polygons.shape[1])]
    if polygons.shape[1] == 3:
        return found
    with np.errstate(all="ignore"):  # a fan whose area overflows stays
        corners = np.ascontiguousarray(vertices.T)[:, polygons.T]  # coordinates first: three times as fast
        sides = corners[:, 1:] - corners[:, :1]
        (x, y, z), (u, v, w) = sides[:, :-1], sides[:, 1:]
        across = np.stack([y * w - z * v, z * u - x * w, x * v - y * u])  # the fan's triangles: normals as long as areas
        normals = across.sum(axis=1)
        folded = (across * normals[:, None]).sum(axis=0).min(axis=0) < -_ROUNDING * np.square(normals).sum(axis=0)
    if polygons.shape[1] == 4:  # simple ones of four corners have one reflex: the other diagonal ends there
        found[folded] = polygons[folded][:, [[0, 1, 3], [1, 2, 3]]]
        return found
    for i in np.flatnonzero(folded):
        if polygons.shape[1] <= _VISITS * len(np.unique(polygons[i])):
            found[i] = polygons[i, _ears(_flat(corners[..., i].T, normals[:, i]))]
    return found


def strip(corners: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "triangles 3"]:
    """The triangles of a strip: each corner with the two before it, every second one turned back."""
    found = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1) if len(corners) > 2 else np.empty((0, 3), np.int64)
    found[1::2] = found[1::2, [1, 0, 2]]
    return found


def mixed(
    vertices: Float64[np.ndarray, "V 3"], sizes: Int64[np.ndarray, " n"], corners: Int64[np.ndarray, " all"]
) -> tuple[Int64[np.ndarray, "F 3"], Int64[np.ndarray, " F"]]:
    """The triangles of polygons of different sizes, whose corners follow each other, and of each its polygon.

    Those of polygons of fewer corners first; one of fewer than three has none.
    """
    ends = np.cumsum(sizes)
    found, owners = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)]
    for size in np.unique(sizes[sizes >= 3]).tolist():
        alike = np.flatnonzero(sizes == size)
        rows = corners[ends[alike, None] + np.arange(-size, 0)]
        found.append(triangles(vertices, rows).reshape(-1, 3))
        owners.append(np.repeat(alike, size - 2))
    return np.concatenate(found), np.concatenate(owners)


def fan(corners: int) -> Int64[np.ndarray, "triangles 3"]:
    """The triangles of a polygon: its first corner with each side that has not that corner."""
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
    """The triangles of a polygon that runs counterclockwise: corners are cut off, and their neighbours looked at again."""
    count = len(points)
    before, after = [(i - 1) % count for i in range(count)], [(i + 1) % count for i in range(count)]
    obstacles, at = _Obstacles(points), points.tolist()
    found, alive, waiting = [], [True] * count, collections.deque(range(count))
    queued = [True] * count
    while waiting and len(found) < count - 3:
        b = waiting.popleft()
        queued[b] = False
        a, c = before[b], after[b]
        if not alive[b] or not obstacles.leave(b, at[a], at[b], at[c]):
            continue
        found.append((a, b, c))
        alive[b], after[a], before[c] = False, c, a
        obstacles.remove(b)
        for neighbour in (a, c):
            if not queued[neighbour]:
                queued[neighbour] = True
                waiting.append(neighbour)
    left = np.flatnonzero(alive)  # three, or those of a polygon that crosses itself
    return np.concatenate([np.array(found, np.int64).reshape(-1, 3), left[fan(len(left))]])


class _Obstacles:
    """The corners that may keep others from being cut off: those where the polygon turns clockwise, or not at all.

    Cutting makes no corner reflex, and a triangle that holds any corner holds one of these. They are sorted by their
    first coordinate, so that few are looked at.
    """

    def __init__(self, points: Float64[np.ndarray, "corners 2"]):
        reflex = np.flatnonzero(_turns(np.roll(points, 1, axis=0), points, np.roll(points, -1, axis=0)) <= _STRAIGHT)
        order = reflex[np.argsort(points[reflex, 0], kind="stable")]
        self._points, self._rows = points[order], dict(zip(order.tolist(), range(len(order)), strict=True))
        self._sorted = self._points[:, 0].tolist()

    def leave(self, b: int, *ear: list[float]) -> bool:
        """Whether corner `b` can be cut off: it is straight, or nothing is in its triangle but where the cut ends."""
        first, middle, last = ear
        turn = (middle[0] - first[0]) * (last[1] - first[1]) - (middle[1] - first[1]) * (last[0] - first[0])
        if turn <= _STRAIGHT:
            return turn >= -_STRAIGHT
        firsts = [corner[0] for corner in ear]
        low = bisect.bisect_left(self._sorted, min(firsts) - _STRAIGHT)
        near = self._points[low : bisect.bisect_right(self._sorted, max(firsts) + _STRAIGHT, low)]
        if not len(near):
            return True
        a, middle, c = np.array(ear)
        inside = np.minimum(_turns(a, middle, near), np.minimum(_turns(middle, c, near), _turns(c, a, near)))
        apart = [np.abs(near - end).max(axis=1) > _STRAIGHT for end in (a, c)]
        blocking = (inside >= -_STRAIGHT) & apart[0] & apart[1]
        if b in self._rows and 0 <= self._rows[b] - low < len(near):
            blocking[self._rows[b] - low] = False  # itself
        return not blocking.any()

    def remove(self, b: int) -> None:
        """Takes a corner away that was cut off."""
        if b in self._rows:
            self._points[self._rows[b]] = np.nan  # in no triangle


def _turns(a: Points, b: Points, c: Points) -> Float64[np.ndarray, "..."] | np.float64:
    """Twice the areas of triangles, positive where they run counterclockwise."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
