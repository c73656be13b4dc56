"""Clouds in their cube, chance within its limits and from the given generator alone, what is refused and in which words."""

import math

import numpy as np
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import points as module
from perceiver_jax.modalities.points import PointCloud, PointStream
from perceiver_jax.modalities.points.config import NoAugment, Points
from perceiver_jax.readers import BadFile

GRID = (64,)
AS_THEY_ARE = NoAugment(kind="none", extent=None, half_side=1.0)
LIMITS = ("rotate_degrees", "point_scale", "jitter", "object_scale", "object_translate")


def points(**changes):
    values = {"kind": "points", "subset": "random", "extent": None, "half_side": 1.0} | dict.fromkeys(LIMITS, 0.0)
    return Points(**values | changes)


def cloud(num_points=64, seed=0):
    """A slanted box somewhere, no two of its extents alike."""
    return (np.random.default_rng(seed).uniform(-1, 1, (num_points, 3)) * (3, 2, 1) + (10, -20, 30)).astype(np.float32)


def modality(config=AS_THEY_ARE, grid=GRID, masked=False, well_spread=False, vertical="z"):
    stream = {"name": "points", "modality": "points", "grid": grid, "channels": 0, "masked": masked}
    return PointCloud(PointStream(**stream, well_spread=well_spread, vertical=vertical), config)


def train(cloud, config, seed=0, grid=GRID, **stream):
    return modality(config, grid, **stream).training(cloud, np.random.default_rng(seed))


def evaluate(cloud, config=AS_THEY_ARE, grid=GRID, view=0, **stream):
    return modality(config, grid, **stream).evaluation(cloud, view)


def refusal(function, *arguments):
    with pytest.raises(Failure) as failure:
        function(*arguments)
    return failure.value.code, str(failure.value)


def test_an_extent_keeps_size_information():
    small, large = (evaluate(scale * cloud(), NoAugment(kind="none", extent=8.0, half_side=1.0)) for scale in (1, 2))
    np.testing.assert_allclose(large, 2 * small, rtol=1e-6)
    trained = train(2 * cloud(), points(extent=8.0))
    np.testing.assert_allclose(np.sort(trained, axis=0), np.sort(large, axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("half_side", [1.0, 0.5])
def test_a_cloud_has_mean_zero_and_fills_the_cube_by_one_factor(half_side):
    given = cloud()
    made = evaluate(given, NoAugment(kind="none", extent=None, half_side=half_side))
    assert (made.dtype, made.shape) == (np.float32, (64, 3))
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-6)
    assert np.abs(made).max() == np.float32(half_side)
    ratios = np.ptp(made, axis=0) / np.ptp(given, axis=0)
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e11])
def test_the_size_of_a_cloud_does_not_matter(scale):
    given = cloud() - np.float32(20)
    np.testing.assert_allclose(evaluate(np.float32(scale) * given), evaluate(given), atol=1e-5)


def test_evaluation_takes_the_first_points():
    given = cloud(200)
    np.testing.assert_array_equal(evaluate(given), evaluate(given[:64]))


@pytest.mark.parametrize("config", [points(point_scale=0.5, jitter=0.5, rotate_degrees=90.0), AS_THEY_ARE])
def test_evaluation_is_without_chance(config):
    given = cloud(200)
    np.testing.assert_array_equal(evaluate(given, config), evaluate(given))


def test_without_augmentation_training_sees_what_evaluation_does():
    given = cloud(200)
    np.testing.assert_array_equal(train(given, AS_THEY_ARE), evaluate(given))


def test_with_every_limit_at_zero_a_whole_cloud_stays_as_it_is():
    np.testing.assert_allclose(train(cloud(), points()), evaluate(cloud()), atol=1e-6)


def test_the_first_subset_is_the_same_every_time():
    given = cloud(200)
    np.testing.assert_allclose(train(given, points(subset="first")), evaluate(given), atol=1e-6)


@pytest.fixture
def unscaled(monkeypatch):
    """Leaves points where they are, instead of putting them into the cube."""
    monkeypatch.setattr(module, "_in_cube", lambda points, extent: points.astype(np.float64))


def rows(points):
    return {tuple(point) for point in points.reshape(-1, 3).tolist()}


@pytest.mark.usefixtures("unscaled")
def test_a_random_subset_is_of_different_points_and_another_every_time():
    given = cloud(200)
    one, other = (rows(train(given, points(), seed)) for seed in (0, 1))
    assert len(one) == len(other) == 64
    assert one != other
    assert (one | other) <= rows(given)
    every = set().union(*(rows(train(given, points(), seed)) for seed in range(40)))
    assert every == rows(given)


@pytest.mark.parametrize("config", [points(), points(**dict.fromkeys(LIMITS, 0.3))], ids=["subset", "all"])
def test_all_chance_comes_from_the_generator(config):
    given = cloud(200)
    np.testing.assert_array_equal(train(given, config, 5), train(given, config, 5))
    assert (train(given, config, 5) != train(given, config, 6)).any()


# What each setting does, in the cube or where points are left as they are


@pytest.mark.usefixtures("unscaled")
def test_each_point_is_scaled_by_its_own_factor():
    given = cloud()
    factors = train(given, points(point_scale=0.25)) / given
    np.testing.assert_allclose(factors, factors[:, :1].repeat(3, 1), rtol=1e-5)
    low, high = factors.min(), factors.max()
    assert 0.75 <= low < 0.8
    assert 1.2 < high <= 1.25


@pytest.mark.usefixtures("unscaled")
def test_jitter_moves_each_coordinate_by_itself():
    given = cloud()
    moves = train(given, points(jitter=0.5)) - given
    assert -0.5 - 1e-5 <= moves.min() < -0.45
    assert 0.45 < moves.max() <= 0.5 + 1e-5
    assert np.abs(np.corrcoef(moves.T) - np.eye(3)).max() < 0.5


def test_after_scaling_and_jitter_each_cloud_still_fills_the_cube():
    made = train(cloud(), points(point_scale=0.5, jitter=0.5))
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-6)
    assert np.abs(made).max() == 1


def test_an_object_is_scaled_by_one_factor_after_the_cube():
    sides = [np.abs(train(cloud(), points(object_scale=0.25), seed)).max() for seed in range(100)]
    assert 0.75 <= min(sides) < 0.8
    assert 1.2 < max(sides) <= 1.25


def test_an_object_is_moved_along_each_axis_after_the_cube():
    moves = np.stack([train(cloud(), points(object_translate=0.25), seed) - evaluate(cloud()) for seed in range(100)])
    np.testing.assert_allclose(moves, moves[:, :1].repeat(64, 1), atol=1e-5)
    low, high = moves[:, 0].min(0), moves[:, 0].max(0)
    assert (low >= -0.25 - 1e-5).all() and (low < -0.22).all()  # noqa: PT018
    assert (high > 0.22).all() and (high <= 0.25 + 1e-5).all()  # noqa: PT018
    assert np.abs(np.corrcoef(moves[:, 0].T) - np.eye(3)).max() < 0.4


def test_moves_are_in_halves_of_the_side():
    small, large = (train(cloud(), points(jitter=0.1, object_translate=0.3, half_side=side)) for side in (0.5, 1.0))
    np.testing.assert_allclose(2 * small, large, rtol=1e-6)


@pytest.mark.usefixtures("unscaled")
def test_rotation_is_about_the_vertical_up_to_its_limit():
    given = cloud()
    angles = []
    for seed in range(100):
        made = train(given, points(rotate_degrees=30.0), seed)
        np.testing.assert_array_equal(made[:, 2], given[:, 2])
        turned = (made[:, 0] + 1j * made[:, 1]) / (given[:, 0] + 1j * given[:, 1])
        np.testing.assert_allclose(turned, turned[0], rtol=1e-4)
        angles.append(math.degrees(np.angle(turned[0])))
    assert -30 - 1e-3 <= min(angles) < -25
    assert 25 < max(angles) <= 30 + 1e-3


# Grids of more than one axis


@pytest.mark.usefixtures("unscaled")
def test_on_a_grid_of_two_axes_the_first_points_are_in_a_random_order():
    given = cloud(200)
    one, other = (train(given, points(subset="first"), seed, (8, 8)) for seed in (0, 1))
    assert one.shape == (8, 8, 3)
    assert rows(one) == rows(other) == rows(given[:64])
    assert (one != other).any()


@pytest.mark.usefixtures("unscaled")
def test_in_evaluation_that_order_is_always_the_same_and_not_that_of_the_cloud():
    given = cloud(200)
    made = evaluate(given, grid=(8, 8))
    np.testing.assert_array_equal(made, evaluate(given, grid=(8, 8)))
    assert rows(made) == rows(given[:64])
    assert (made.reshape(-1, 3) != given[:64]).any(1).mean() > 0.9


# What the modality says of itself


def test_points_are_three_coordinates_and_nothing_else():
    assert modality().num_coordinates == modality(points()).num_coordinates == 3
    features = evaluate(cloud())
    np.testing.assert_array_equal(modality().normalize(features), features)
    assert not modality(points()).mixes


def test_clouds_are_never_mixed():
    features = evaluate(cloud())
    with pytest.raises(NotImplementedError, match="clouds are never mixed"):
        modality(points()).mixed(features, features, 0, np.random.default_rng(0))


# Views


@pytest.mark.usefixtures("unscaled")
def test_later_views_are_of_the_points_that_follow_and_of_the_first_again():
    given = cloud(160)
    np.testing.assert_array_equal(evaluate(given, view=1), given[64:128])
    np.testing.assert_array_equal(evaluate(given, view=2), np.concatenate([given[128:], given[:32]]))


def test_a_cloud_has_any_number_of_views():
    assert modality().max_views is None
    np.testing.assert_array_equal(evaluate(cloud(64), view=1000), evaluate(cloud(64)))


# Clouds of fewer points than inputs, where the stream is masked


def test_a_cloud_of_fewer_points_is_those_points():
    given = cloud(20)
    made = evaluate(given, masked=True)
    assert (made.shape, made.dtype) == ((20, 3), np.float32)
    np.testing.assert_array_equal(made, evaluate(given, grid=(20,)))


def test_a_cloud_of_fewer_points_is_trained_on_as_one_of_as_many_inputs():
    given, config = cloud(20), points(**dict.fromkeys(LIMITS, 0.3))
    np.testing.assert_array_equal(train(given, config, masked=True), train(given, config, grid=(20,)))


def test_a_masked_cloud_of_enough_points_is_as_one_without_a_mask():
    given, config = cloud(200), points(**dict.fromkeys(LIMITS, 0.3))
    np.testing.assert_array_equal(train(given, config, masked=True), train(given, config))
    np.testing.assert_array_equal(evaluate(given, masked=True, view=1), evaluate(given, view=1))


# Reading, and what is refused


def test_arrays_stay_as_they_are():
    given = cloud()
    assert modality().read(given, "a") is given


def test_a_file_is_read_by_its_suffix_with_at_least_as_many_points_as_inputs(monkeypatch):
    asked = []
    monkeypatch.setattr(module.shapes, "read_points", lambda *given, repeat: asked.append((*given, repeat)) or cloud())
    modality(grid=(44, 44)).read(b"bytes", "shapes/chair.V2.OFF")
    assert asked == [(b"bytes", ".off", 1936, "z", True)]


def test_a_file_of_a_masked_stream_is_read_with_as_many_points_as_it_has():
    given = modality(masked=True).read(b"0 0 0\n1 0 0\n0 1 0\n", "few.xyz")
    assert given.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_a_file_is_thinned_where_the_data_set_was(monkeypatch):
    asked = []
    monkeypatch.setattr(module.shapes, "read_well_spread", lambda *given: asked.append(given) or cloud())
    modality(well_spread=True).read(b"bytes", "chair.off")
    assert asked == [(b"bytes", ".off", 64, "z")]


@pytest.mark.parametrize(("vertical", "well_spread"), [("z", False), ("y", False), ("z", True), ("y", True)])
def test_a_file_is_turned_as_the_data_set_was(vertical, well_spread):
    upright = {"z": b"0 0 0\n1 0 0\n1 2 5\n", "y": b"0 0 0\n1 0 0\n1 5 -2\n"}[vertical]
    made = modality(grid=(3,), vertical=vertical, well_spread=well_spread).read(upright, "a.xyz")
    assert sorted(made.tolist()) == [[0, 0, 0], [1, 0, 0], [1, 2, 5]]


def test_a_file_that_is_not_a_shape_is_named_with_the_reason(monkeypatch):
    def bad(*_, repeat):
        raise BadFile("empty-file", "has no bytes")

    monkeypatch.setattr(module.shapes, "read_points", bad)
    assert refusal(modality().read, b"", "chairs/1.off") == (
        Code.DATA,
        "error[3] shape empty-file: chairs/1.off\n  found: has no bytes\n"
        "  try: replace it with an intact copy, or remove it",
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_coordinate_that_is_not_a_number_is_refused_by_name(value):
    given = cloud()
    given[17, 1] = value
    reported = "error[3] point cloud non-finite: item 3\n  found: a coordinate that is not finite"
    assert refusal(modality().read, given, "item 3") == (Code.DATA, reported)


@pytest.mark.parametrize("num_points", [0, 1, 64])
def test_points_in_one_place_are_refused_by_name(num_points):
    given = np.full((num_points, 3), 0.1, np.float32)
    reported = "error[3] point cloud degenerate: item 3\n  found: all points are equal"
    assert refusal(modality().read, given, "item 3") == (Code.DATA, reported)


def test_a_cloud_whose_first_points_are_in_one_place_is_refused():
    given = np.concatenate([np.full((64, 3), 0.1, np.float32), cloud()])
    code, reported = refusal(evaluate, given)
    assert (code, reported.splitlines()[0]) == (Code.DATA, "error[3] point cloud degenerate")


@pytest.mark.parametrize("function", [evaluate, lambda given: train(given, points())], ids=["evaluation", "training"])
def test_a_cloud_of_too_few_points_is_refused(function):
    assert refusal(function, cloud(63)) == (
        Code.CONFIG,
        "error[2] a point cloud has fewer points than the model has inputs\n"
        "  found: 63 points\n"
        "  expected: at least 64, the product of data.grid\n"
        "  try: a smaller data.grid, or prepare the data set with more points",
    )
