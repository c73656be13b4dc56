"""Clouds as they are seen: from which side, in which colours, in the layout of the maps."""

import cv2
import numpy as np
import pytest
from matplotlib import colormaps

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report import clouds, maps
from perceiver_jax.report.clouds import compose, dots, draw_attention_clouds, view

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def cloud(num_points=50, extents=(1.0, 1.0, 1.0), seed=0):
    corners = np.array([[-1, -1, -1], [1, 1, 1]])
    points = np.concatenate([corners, np.random.default_rng(seed).uniform(-1, 1, (num_points - 2, 3))])
    return (points * extents).astype(np.float32)


def logits(num_latents, num_points=50, seed=0):
    return np.random.default_rng(seed).normal(size=(num_latents, num_points)).astype(np.float32)


def two(num_latents, num_points=50):
    return [(f"cross-attend {n}", logits(num_latents, num_points, n)) for n in (1, 2)]


@pytest.mark.parametrize(
    ("thin", "right", "up"),
    [(0, (0, 1, 0), (0, 0, 1)), (1, (1, 0, 0), (0, 0, 1)), (2, (1, 0, 0), (0, 1, 0))],
    ids=["x", "y", "z"],
)
def test_a_flat_cloud_is_seen_along_its_thinnest_axis(thin, right, up):
    extents = np.ones(3)
    extents[thin] = 0.2
    points = cloud(extents=extents)
    seen = view(points)
    expected = 0.5 + (0.5 - clouds.MARGIN) * np.stack([points @ right, -points @ up], axis=1)
    np.testing.assert_allclose(seen.positions, expected, atol=1e-6)
    assert (seen.nearness == 1).all()


@pytest.mark.parametrize("axes", [clouds.ISOMETRIC, *clouds.ALONG], ids=["isometric", "x", "y", "z"])
def test_no_view_is_a_mirror_image(axes):
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-12)


def test_a_solid_cloud_is_seen_with_all_axes_foreshortened_alike_and_z_upwards():
    origin_and_axes = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    positions = view(origin_and_axes).positions
    sides = positions[1:] - positions[0]
    np.testing.assert_allclose(np.linalg.norm(sides, axis=1), np.linalg.norm(sides[0]))
    np.testing.assert_allclose(sides[2, 0], 0, atol=1e-12)
    assert sides[2, 1] < 0  # positions count from the top


def test_nearer_points_are_those_towards_the_eye():
    nearness = view(np.array([[1.0, -1, 1], [0, 0, 0], [-1, 1, -1], [1, 1, 0]])).nearness
    np.testing.assert_allclose(nearness, [1, 0.5, 0, 0.5], atol=1e-12)


@pytest.mark.parametrize("extents", [(1.0, 1.0, 1.0), (1.0, 0.1, 0.1), (1e-6, 1e-6, 1e-6), (1e6, 1e6, 1e3)])
def test_a_cloud_fills_its_tile_but_for_the_margin(extents):
    positions = view(cloud(extents=extents)).positions
    assert abs(np.abs(positions - 0.5).max() - (0.5 - clouds.MARGIN)) < 1e-9


def test_points_in_one_place_are_drawn_in_the_middle():
    assert view(np.ones((5, 3))).positions.tolist() == [[0.5, 0.5]] * 5


def test_a_dot_is_at_its_point_in_its_colour():
    seen = clouds.View(np.array([[0.25, 0.125], [0.75, 0.5]]), np.array([0.0, 1.0]))
    pixels = dots(seen, np.array([[[1.0, 0, 0], [0, 1.0, 0]]]), 160, 1, 1)
    assert pixels.shape == (160, 160, 3)
    assert pixels[20, 40].tolist() == [255, 0, 0]
    assert pixels[80, 120].tolist() == [0, 255, 0]
    assert pixels[80, 40].tolist() == list(BLACK)


def test_nearer_dots_are_over_farther_ones():
    seen = clouds.View(np.full((2, 2), 0.5), np.array([1.0, 0.0]))
    assert dots(seen, np.array([[[1.0, 0, 0], [0, 1.0, 0]]]), 160, 1, 1)[80, 80].tolist() == [255, 0, 0]


def test_tiles_are_row_by_row_with_white_lines_between_them():
    seen = clouds.View(np.full((1, 2), 0.5), np.ones(1))
    colours = np.array([[[1.0, 0, 0]], [[0, 1.0, 0]], [[0, 0, 1.0]]])
    pixels = dots(seen, colours, 20, 2, 2)
    assert pixels.shape == (41, 41, 3)
    assert [pixels[y, x].tolist() for y, x in ((10, 10), (10, 31), (31, 10))] == (colours[:, 0] * 255).tolist()
    assert (pixels[20] == WHITE).all()
    assert (pixels[:, 20] == WHITE).all()
    assert (pixels[21:, 21:] == WHITE).all()  # of three maps the fourth position is empty


def test_each_map_runs_from_the_darkest_to_the_brightest_colour():
    seen = clouds.View(np.array([[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]]), np.ones(3))
    for low, high in ((0.0, 1.0), (-7.0, 30.0)):
        points = clouds._colours(np.array([[low, (low + high) / 2, high]]))
        pixels = dots(seen, points, 100, 1, 1)
        levels = [colormaps[clouds.COLOUR_MAP](value)[:3] for value in (0.0, 0.5, 1.0)]
        np.testing.assert_allclose(pixels[50, [20, 50, 80]], 255 * np.array(levels), atol=1)


def test_the_layout_is_that_of_the_maps():
    canvas = compose(cloud(), two(512))
    assert [title[2].partition(",")[0] for title in canvas.titles] == ["input", "cross-attend 1", "cross-attend 2"]
    colours = [maps.GREY, *maps.COLOURS[:2]]
    assert [title[3] for title in canvas.titles] == colours
    step, unit = clouds.SIDE + maps.gap_of(25, clouds.SIDE), 2
    left, frames = maps.MARGIN * unit, 2 * maps.FRAME * unit
    for colour, rows in zip(colours[1:], (4, 2), strict=True):
        ys = np.flatnonzero((canvas.pixels[:, left] == colour).all(-1))  # of the panel's frame
        xs = np.flatnonzero((canvas.pixels[ys[0]] == colour).all(-1))
        assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (rows * step - 2 + frames, 25 * step - 2 + frames)


def test_chosen_latents_alone_are_drawn():
    both = two(16)
    few = compose(cloud(), both, latents=[3, 1]).pixels
    assert (few == compose(cloud(), [(title, one[[3, 1]]) for title, one in both]).pixels).all()


def test_nan_is_a_failure_that_names_the_map():
    both = two(16)
    both[1][1][4, 0] = np.nan
    with pytest.raises(Failure, match="NaN: cross-attend 2, latent 4") as failure:
        compose(cloud(), both)
    assert failure.value.code == Code.NUMERICS


def test_the_file_is_the_layout_with_titles(tmp_path):
    draw_attention_clouds(cloud(), two(16), tmp_path / "clouds.png")
    drawn = cv2.imread(str(tmp_path / "clouds.png"))[..., ::-1]
    canvas = compose(cloud(), two(16))
    below = canvas.titles[0][1] + round(canvas.letter / 2)
    np.testing.assert_array_equal(drawn[below:], canvas.pixels[below:])
    assert (drawn[:below] != WHITE).any()
