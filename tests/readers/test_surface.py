"""Points on surfaces: as many on equal areas, on no others, whatever the scale; and their order."""

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.surface import Mesh, check_spread, farthest_first, half_side, sample

SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]


def rng():
    return np.random.default_rng(0)


def mesh(vertices, faces):
    return Mesh(np.array(vertices, np.float64), np.array(faces, np.int64).reshape(-1, 3))


def square(scale=1.0, middle=0.0):
    return mesh(np.array(SQUARE) * scale + middle, [(0, 1, 2), (0, 2, 3)])


def test_points_are_uniform_on_a_square():
    points = sample(square(), 40_000, rng())
    cells = np.histogram2d(points[:, 0], points[:, 1], bins=4, range=[(-1, 1), (-1, 1)])[0]
    assert np.abs(cells - 2500).max() < 250  # 5 standard deviations
    assert (points[:, 2] == 0).all()


def test_a_face_gets_points_by_its_area():
    triangles = mesh([(0, 0, 0), (3, 0, 0), (0, 3, 0), (0, 0, 9), (1, 0, 9), (0, 1, 9)], [(0, 1, 2), (3, 4, 5)])
    assert np.mean(sample(triangles, 20_000, rng())[:, 2] > 0) == pytest.approx(1 / 10, abs=0.01)


def test_the_longest_side_goes_from_minus_1_to_1():
    points = sample(mesh(np.array(SQUARE) * (4, 2, 1) + 7, [(0, 1, 2), (0, 2, 3)]), 10_000, rng())
    np.testing.assert_allclose(points.min(axis=0), (-1, -0.5, 0), atol=0.01)
    np.testing.assert_allclose(points.max(axis=0), (1, 0.5, 0), atol=0.01)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e11])
def test_half_the_longest_side_gives_points_their_size(scale):
    given = mesh(np.array(SQUARE) * scale * (4, 2, 1), [(0, 1, 2), (0, 2, 3)])
    np.testing.assert_allclose(
        np.ptp(half_side(given) * sample(given, 10_000, rng()), axis=0), scale * np.array([4, 2, 0]), rtol=0.01
    )


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_a_size_that_no_float32_holds_is_left_out(scale):
    assert half_side(square(scale)) == 1


@pytest.mark.parametrize("scale", [1e11, 1e30, 1e300, 1e-30, 1e-300])
def test_points_do_not_depend_on_the_scale(scale):
    np.testing.assert_allclose(sample(square(scale), 100, rng()), sample(square(), 100, rng()), atol=1e-9)


def test_one_far_vertex_among_others_makes_no_nan():
    points = sample(mesh([*SQUARE, (1e11, 1e11, -1e11)], [(0, 1, 2), (0, 2, 4)]), 100, rng())
    assert np.abs(points).max() <= 1


def test_a_vertex_that_no_face_has_changes_nothing():
    more = mesh([*SQUARE, (1e11, 0, 0)], [(0, 1, 2), (0, 2, 3)])
    np.testing.assert_array_equal(sample(more, 100, rng()), sample(square(), 100, rng()))


def test_faces_without_area_get_no_points():
    line = [(5, 5, 5), (6, 7, 8), (7, 9, 11)]
    points = sample(mesh([*SQUARE, *line], [(4, 5, 6), (0, 1, 2), (4, 4, 4), (0, 2, 3)]), 1000, rng())
    assert np.ptp(points[:, 2]) == 0  # the square's plane alone


@pytest.mark.parametrize(
    ("shape", "code", "sentence"),
    [
        (mesh(SQUARE, []), "no-faces", "has no faces, so no surface to draw points from"),
        (mesh([(1, 2, 3)] * 3, [(0, 1, 2)]), "degenerate", "all points are equal"),
        (mesh([(0, 0, 0)] * 3, [(0, 1, 2)]), "degenerate", "all points are equal"),
        (mesh([(0, 0, 0), (0.1, 0.2, 0.3), (0.3, 0.6, 0.9)], [(0, 1, 2)]), "degenerate", "all faces have zero area"),
        (mesh(SQUARE, [(0, 1, 1), (2, 2, 3)]), "degenerate", "all faces have zero area"),
    ],
    ids=["no faces", "equal points", "points at 0", "on a line", "faces of two corners"],
)
def test_a_mesh_without_a_surface_has_a_code(shape, code, sentence):
    with pytest.raises(BadFile) as bad:
        sample(shape, 10, rng())
    assert (bad.value.code, bad.value.sentence) == (code, sentence)


LINE = np.linspace(-0.7, 0.9, 50)[:, None] * (0.3, -0.8, 0.5)


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (np.ones((9, 3)), "all points are equal"),
        (np.ones((1, 3)), "all points are equal"),
        (LINE, "all points are on one line"),
        (LINE.round(6), "all points are on one line"),
        (np.eye(3)[[0, 0, 1, 1]], "all points are on one line"),
    ],
    ids=["equal", "one", "on a line", "on a line of six decimals", "two places"],
)
def test_a_cloud_without_width_is_reported(points, sentence, scale):
    with pytest.raises(BadFile) as bad:
        check_spread((scale * points).astype(np.float32))
    assert (bad.value.code, bad.value.sentence) == ("degenerate", sentence)


@pytest.mark.parametrize("points", [SQUARE, np.eye(3), [*LINE, (0, 0, 1e-3)]], ids=["plane", "triangle", "one point beside"])
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_flat_and_thin_clouds_are_clouds(points, scale):
    check_spread((scale * np.array(points)).astype(np.float32))


def test_the_same_generator_gives_the_same_points():
    np.testing.assert_array_equal(sample(square(), 50, rng()), sample(square(), 50, rng()))


def by_definition(points, num_points):
    """The order, of all distances at once."""
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    order = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    while len(order) < num_points:
        order.append(int(np.argmax(distances[order].min(axis=0))))
    return points[order]


def test_each_point_is_the_one_farthest_from_those_before():
    points = np.random.default_rng(1).normal(size=(200, 3))
    np.testing.assert_array_equal(farthest_first(points, 60), by_definition(points, 60))


def test_any_beginning_is_well_spread():
    points = sample(square(), 4000, rng())

    def hole(chosen):  # how far a point is at most from a chosen one
        return np.linalg.norm(points[:, None] - chosen, axis=2).min(axis=1).max()

    assert hole(farthest_first(points, 1000)[:100]) < 0.7 * hole(points[:100])


def test_no_point_is_taken_twice_though_there_are_equal_ones():
    points = np.repeat(np.random.default_rng(2).normal(size=(5, 3)), 3, axis=0)
    ordered = farthest_first(points, 15)
    assert len(np.unique(ordered[:5], axis=0)) == 5
    np.testing.assert_array_equal(np.sort(ordered, axis=0), np.sort(points, axis=0))
