"""Polygons into triangles: those that cover the polygon, each part once, whatever its form and wherever it is."""

import numpy as np
import pytest

from perceiver_jax.readers.off import read_off
from perceiver_jax.readers.polygons import triangles
from perceiver_jax.readers.surface import sample

NOTCH = [(0, 0), (2, 0), (2, 2), (1, 0.5), (0, 2)]
POLYGONS = {
    "notch": (NOTCH, 2.5),
    "dart": ([(0, 0), (2, 1), (0, 2), (1, 1)], 1),
    "corners on edges": ([(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1.5, 1.25), (1, 0.5), (0.5, 1.25), (0, 2), (0, 1)], 2.5),
    "repeated corners": ([corner for corner in NOTCH for _ in range(2)], 2.5),
    "H": ([(0, 0), (1, 0), (1, 1), (2, 1), (2, 0), (3, 0), (3, 3), (2, 3), (2, 2), (1, 2), (1, 3), (0, 3)], 7),
    "a hole and a way to it": ([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1)], 12),
    "a corner on an edge": ([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)], 8),
    "a crack": ([(0, 0), (4, 0), (4, 4), (2, 4), (2, 1), (2, 4), (0, 4)], 16),
    "comb": ([*((x / 2, 1 - x % 2) for x in range(21)), (10, -1), (0, -1)], 15),
}
TURNED, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
PLACES = {
    "flat": np.eye(3),
    "mirrored": np.diag([-1.0, 1, 1]),
    "upright": np.eye(3)[[2, 0, 1]],
    "turned": 1e-3 * TURNED,
    "large": 1e11 * TURNED,
}


def fan(sides):
    return np.array([(0, i, i + 1) for i in range(1, sides - 1)])


def areas(corners, found):
    """The area of each triangle, as a vector."""
    a, b, c = np.moveaxis(corners[found], 1, 0)
    return np.cross(b - a, c - a) / 2


def placed(polygon, first, reverse, place):
    corners = np.roll(np.pad(np.array(polygon, float), ((0, 0), (0, 1))), -first, axis=0)
    return (corners[::-1] if reverse else corners) @ place.T + place @ (1, 2, 3)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("polygon", "area"), POLYGONS.values(), ids=POLYGONS)
def test_triangles_cover_a_polygon_once(polygon, area, place):
    unit = abs(np.linalg.det(place)) ** (2 / 3)
    for first in range(len(polygon)):
        for reverse in (False, True):
            corners = placed(polygon, first, reverse, place)
            (found,) = triangles(corners, np.arange(len(corners))[None])
            assert found.shape == (len(corners) - 2, 3)
            each, normal = areas(corners, found), areas(corners, fan(len(corners))).sum(axis=0)
            # Together they have the polygon's area, and all have the same orientation: so no two of them overlap.
            assert np.linalg.norm(each, axis=1).sum() == pytest.approx(unit * area, rel=1e-9)
            assert (each @ normal).min() >= -1e-9 * (unit * area) ** 2


def test_every_simple_polygon_is_covered():
    rng = np.random.default_rng(0)
    for _ in range(200):
        angles = np.arange(rng.integers(4, 40))
        angles = (angles + rng.uniform(-0.4, 0.4, len(angles))) * 2 * np.pi / len(angles)
        radii = rng.uniform(0.1, 1, len(angles))
        corners = np.stack([radii * np.cos(angles), radii * np.sin(angles), 0 * radii], axis=1) @ TURNED
        (found,) = triangles(corners, np.arange(len(corners))[None])
        area = (radii * np.roll(radii, -1) * np.sin(np.roll(angles, -1) - angles)).sum() / 2
        assert np.linalg.norm(areas(corners, found), axis=1).sum() == pytest.approx(area, rel=1e-9)


@pytest.mark.parametrize("sides", [3, 4, 5, 100])
def test_convex_polygons_are_fans_of_their_first_corner(sides):
    angles = np.arange(sides) * 2 * np.pi / sides
    corners = np.round(np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1), 6) @ TURNED
    assert triangles(corners, np.arange(sides)[None]).tolist() == [fan(sides).tolist()]


def test_each_polygon_is_judged_by_itself():
    corners = np.pad(np.array([*NOTCH, (0, 0), (2, 0), (2, 1), (1, 2), (0, 1)], float), ((0, 0), (0, 1)))
    polygons = np.arange(10).reshape(2, 5)
    both = triangles(corners, polygons)
    for i in range(2):
        np.testing.assert_array_equal(both[i], triangles(corners, polygons[i : i + 1])[0])
    assert both[1].tolist() == [[5, 6, 7], [5, 7, 8], [5, 8, 9]]


def test_a_bent_quad_keeps_the_diagonal_of_its_first_corner():
    corners = np.array([(0, 0, 0), (1, 0, 0.5), (1, 1, 0), (0, 1, 0.5)])
    assert triangles(corners, np.arange(4)[None]).tolist() == [[[0, 1, 2], [0, 2, 3]]]
    dart = np.array([(0, 0, 0), (2, 1, 0.3), (0, 2, 0), (1, 1, -0.3)])
    assert sorted(map(sorted, triangles(dart, np.arange(4)[None])[0].tolist())) == [[0, 1, 3], [1, 2, 3]]


def test_a_polygon_that_crosses_itself_or_has_no_area_ends_in_triangles():
    rng = np.random.default_rng(0)
    for corners in (rng.normal(size=(50, 3)), np.zeros((50, 3)), np.outer(rng.normal(size=50), (1, 2, 3))):
        assert triangles(corners, np.arange(50)[None]).shape == (1, 48, 3)


def test_no_point_is_drawn_in_the_notch_of_a_face():
    vertices = "".join(f"{x} {y} 0\n" for x, y in NOTCH)
    mesh = read_off(f"OFF\n5 1 0\n{vertices}5 0 1 2 3 4\n".encode())
    x, y, _ = sample(mesh, 2000, np.random.default_rng(0)).T
    assert (y <= -0.5 + 1.5 * np.abs(x) + 1e-9).all()  # in the unit cube the notch's lowest point is (0, -0.5)
