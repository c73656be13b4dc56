"""Fourier features have the values worked by hand, and are in the official order."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.model.config import FourierPositions, InputSpec
from perceiver_jax.model.inputs import InputArray
from perceiver_jax.model.positions import axis_table, bands, channel_order, coordinates, encoded

pytestmark = pytest.mark.usefixtures("optimised")  # digits are what optimisations may cost


def test_three_points_and_two_bands_are_the_values_worked_by_hand():
    # Coordinates -1, 0, 1; mu = 3 gives the bands 1 and 1.5: sin(pi f x), then cos(pi f x).
    expected = [
        [-1, 0, 1, -1, 0],
        [0, 0, 0, 1, 1],
        [1, 0, -1, -1, 0],
    ]
    np.testing.assert_allclose(axis_table(3, 2, 3.0), expected, atol=1e-15)


def test_a_point_a_third_along_has_the_sines_and_cosines_worked_by_hand():
    # x = -1/3; mu = 4 gives the bands 1 and 2: angles -60 and -120 degrees.
    root = math.sqrt(3) / 2
    np.testing.assert_allclose(axis_table(4, 2, 4.0)[1], [-1 / 3, -root, -root, 0.5, -0.5], atol=1e-15)


@pytest.mark.parametrize(("num_bands", "mu"), [(64, 224.0), (6, 20.0), (2, 3.0)])
def test_bands_are_equally_spaced_from_1_to_half_the_max_resolution(num_bands, mu):
    step = (mu / 2 - 1) / (num_bands - 1)
    np.testing.assert_allclose(bands(num_bands, mu), [1 + step * k for k in range(num_bands)], rtol=1e-15)
    assert (bands(num_bands, mu)[0], bands(num_bands, mu)[-1]) == (1, mu / 2)


def test_a_single_band_is_the_lowest():
    np.testing.assert_array_equal(bands(1, 224.0), [1.0])


@pytest.mark.parametrize("length", [2, 28, 224, 225])
def test_the_ends_are_exactly_plus_and_minus_1_and_the_rest_equally_spaced(length):
    x = coordinates(length)
    assert (x[0], x[-1]) == (-1, 1)
    np.testing.assert_allclose(np.diff(x), 2 / (length - 1), rtol=1e-12)


def test_tables_are_made_in_float64():
    """The highest ImageNet angle is 352 rad: in float32 its sine would be off by 1e-5."""
    table = axis_table(224, 64, 224.0)
    assert table.dtype == np.float64
    x = -1 + 2 / 223
    np.testing.assert_allclose(table[1, [64, 128]], [math.sin(math.pi * 112 * x), math.cos(math.pi * 112 * x)], atol=1e-12)


def test_two_axes_and_two_bands_are_in_the_order_worked_by_hand():
    # x y | sin x1 x2 y1 y2 | cos x1 x2 y1 y2
    assert channel_order(2, 2) == ((0, 2, 3, 6, 7), (1, 4, 5, 8, 9))


def test_three_axes_and_one_band_are_in_the_order_worked_by_hand():
    assert channel_order(3, 1) == ((0, 3, 6), (1, 4, 7), (2, 5, 8))


def test_one_axis_is_its_table():
    assert channel_order(1, 3) == (tuple(range(7)),)


@pytest.mark.parametrize(
    ("grid", "num_features", "num_bands", "positions", "channels"),
    [((224, 224), 3, 64, 258, 261), ((2048,), 3, 64, 129, 132), ((16, 56, 56), 48, 32, 195, 243)],
    ids=["imagenet", "one_axis", "video"],
)
def test_d_axes_and_k_bands_make_d_times_2k_plus_1_channels_beside_the_features(
    grid, num_features, num_bands, positions, channels
):
    config = FourierPositions(kind="fourier", num_bands=num_bands, max_resolution=tuple(map(float, grid)))
    inputs = InputArray(InputSpec("image", grid, num_features), config, nnx.Rngs(0))
    assert sum(map(len, channel_order(len(grid), num_bands))) == positions
    assert inputs.channels == channels


def test_coordinates_that_come_with_the_examples_are_encoded_as_those_of_a_grid():
    tables = [axis_table(5, 3, 8.0), axis_table(4, 3, 6.0)]
    grid = np.stack(np.meshgrid(coordinates(5), coordinates(4), indexing="ij"), axis=-1)
    expected = np.zeros((5, 4, 14))
    for axis, columns in enumerate(channel_order(2, 3)):
        expected[..., columns] = np.expand_dims(tables[axis], 1 - axis)
    np.testing.assert_allclose(encoded(jnp.asarray(grid), 3, (8.0, 6.0)), expected, atol=1e-6)


def test_thousands_of_radians_lose_no_digits_in_float32():
    """ModelNet40's highest band: pi f x up to 3,519 rad, where a float32 angle would be off by 1e-4."""
    x = np.random.default_rng(0).uniform(-1, 1, (200, 1)).astype(np.float32)
    x[:2] = [[1], [-1]]
    angles = math.pi * x.astype(np.float64) * bands(64, 2240.0)
    expected = np.concatenate([x, np.sin(angles), np.cos(angles)], axis=-1)
    np.testing.assert_allclose(encoded(jnp.asarray(x), 64, (2240.0,)), expected, atol=2e-6)


def test_features_come_before_the_channels_of_coordinates():
    positions = FourierPositions(kind="fourier", num_bands=2, max_resolution=(4.0, 4.0, 4.0))
    inputs = InputArray(InputSpec("cloud", (6,), 5, num_coordinates=3), positions, nnx.Rngs(0))
    features = np.random.default_rng(0).uniform(-1, 1, (2, 6, 5)).astype(np.float32)
    array = np.asarray(inputs(jnp.asarray(features)).array())
    assert array.shape == (2, 6, inputs.channels) == (2, 6, 2 + 3 * 5)
    np.testing.assert_array_equal(array[..., :5], features)
