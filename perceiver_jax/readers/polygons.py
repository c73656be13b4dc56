"""Polygons into triangles: fans where those cover the polygon, ear clipping where it is concave."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

_ROUNDING = 1e-6  # of a polygon's area: what six decimals make of corners on one line
_AT_ONCE = 500_000  # pairs of corners that are looked at together
_VISITS = 2  # of each of its vertices on average: a polygon that comes by more often crosses itself
_STRAIGHT = 1e-12  # of the square of a polygon's extent, twice the area of three corners that count as on one line


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
    rows = np.sort(polygons, axis=1)
    visits = polygons.shape[1] / (1 + (np.diff(rows, axis=1) > 0).sum(axis=1))
    concave = np.flatnonzero(folded & (visits <= _VISITS))
    step = max(1, _AT_ONCE // polygons.shape[1] ** 2)
    for some in np.split(concave, range(step, len(concave), step)) if len(concave) else ():
        flat = _flat(corners[..., some].transpose(2, 1, 0), normals[:, some].T)
        found[some] = polygons[some[:, None, None], _ears(flat)]
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


def _flat(
    corners: Float64[np.ndarray, "n corners 3"], normals: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "n corners 2"]:
    """Polygons from the side where they run counterclockwise, first corners at the origin, coordinates of at most 1."""
    axes = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    right = np.cross(axes, normals)
    planes = np.stack([right, np.cross(normals, right)], axis=2)
    flat = (corners - corners[:, :1]) @ (planes / np.linalg.norm(planes, axis=1, keepdims=True))
    return flat / np.abs(flat).max(axis=(1, 2), keepdims=True)


def _ears(points: Float64[np.ndarray, "n corners 2"]) -> Int64[np.ndarray, "n corners-2 3"]:
    """The triangles of polygons that run counterclockwise: of all at once one corner is cut off, round after round.

    After a cut only the corners beside it are asked again. Where none can be cut, as in a polygon that crosses itself,
    the first is.
    """
    ears = _Ears(points)
    count, corners = points.shape[:2]
    found = [ears.cut() for _ in range(corners - 3)]
    left = np.nonzero(ears.alive)[1].reshape(count, 1, 3)
    return np.concatenate([*(one[:, None] for one in found), left], axis=1)


class _Ears:
    """Polygons whose corners are cut off."""

    def __init__(self, points: Float64[np.ndarray, "n corners 2"]):
        self.points, (count, corners) = points, points.shape[:2]
        every = np.tile(np.arange(corners), (count, 1))
        self.alive = np.ones((count, corners), bool)
        self.before, self.after = np.roll(every, 1, axis=1), np.roll(every, -1, axis=1)
        turns = _turns(np.roll(points, 1, axis=1), points, np.roll(points, -1, axis=1))
        # Cutting makes no corner reflex, and a triangle that holds any corner holds one of these; the others are padding.
        reflex = turns <= _STRAIGHT
        most = int(reflex.sum(axis=1).max())
        chosen = np.argsort(~reflex, axis=1, kind="stable")[:, :most]
        self.obstacles = [np.where(_at(reflex, chosen), _at(points[..., axis], chosen), np.nan) for axis in (0, 1)]
        self.slots = np.full((count, corners), -1)
        np.put_along_axis(self.slots, chosen, np.arange(most)[None], axis=1)
        step = max(1, _AT_ONCE // (count * max(most, 1)))
        parts = [self._can_be_cut(every[:, first : first + step]) for first in range(0, corners, step)]
        self.ears = np.concatenate(parts, axis=1)

    def cut(self) -> Int64[np.ndarray, "n 3"]:
        """A triangle of each polygon, which it then lacks."""
        rows = np.arange(len(self.points))
        b = np.where(self.ears.any(axis=1), np.argmax(self.ears, axis=1), np.argmax(self.alive, axis=1))
        a, c = self.before[rows, b], self.after[rows, b]
        self.after[rows, a], self.before[rows, c] = c, a
        self.alive[rows, b] = self.ears[rows, b] = False
        slots = self.slots[rows, b]
        self.obstacles[0][rows[slots >= 0], slots[slots >= 0]] = np.nan  # in no triangle
        beside = np.stack([a, c], axis=1)
        np.put_along_axis(self.ears, beside, self._can_be_cut(beside), axis=1)
        return np.stack([a, b, c], axis=1)

    def _can_be_cut(self, corners: Int64[np.ndarray, "n some"]) -> Bool[np.ndarray, "n some"]:
        """Whether corners can be cut off: straight, or nothing is in their triangle but where the cut ends."""
        ends = [_at(self.points, places) for places in (_at(self.before, corners), corners, _at(self.after, corners))]
        turns = _turns(*ends)
        least, most = np.minimum.reduce(ends) - _STRAIGHT, np.maximum.reduce(ends) + _STRAIGHT
        near = turns[..., None] > _STRAIGHT
        for axis, places in enumerate(self.obstacles):
            near = near & (places[:, None] >= least[..., axis, None]) & (places[:, None] <= most[..., axis, None])
        rows, columns, slots = np.nonzero(near)
        a, b, c = (end[rows, columns] for end in ends)
        point = np.stack([places[rows, slots] for places in self.obstacles], axis=1)
        blocking = np.minimum(_turns(a, b, point), np.minimum(_turns(b, c, point), _turns(c, a, point))) >= -_STRAIGHT
        for end in (a, c):
            blocking &= np.abs(point - end).max(axis=1) > _STRAIGHT
        blocking &= slots != self.slots[rows, corners[rows, columns]]  # but itself
        free = turns >= -_STRAIGHT
        free[rows[blocking], columns[blocking]] = False
        return free


def _at(values: np.ndarray, corners: Int64[np.ndarray, "n some"]) -> np.ndarray:
    """Of each polygon what some of its corners have."""
    return values[np.arange(len(values))[:, None], corners]


def _turns(
    a: Float64[np.ndarray, "*some 2"], b: Float64[np.ndarray, "*some 2"], c: Float64[np.ndarray, "*some 2"]
) -> Float64[np.ndarray, "*some"]:
    """Twice the areas of triangles, positive where they run counterclockwise."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
