"""A segment is the input array without the array: the same channels in the same order, the same mean and variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.model.config import FourierPositions, InputSpec
from perceiver_jax.model.inputs import InputArray
from perceiver_jax.model.positions import axis_table, channel_order
from perceiver_jax.model.segment import Segment, as_statistics, whole_mask
from tests.model import reference

pytestmark = pytest.mark.usefixtures("optimised")  # digits are what optimisations may cost

EPSILON = 1e-5
HAND = Segment(  # 2 x 3 inputs of 1 feature, tables of 2 and 1 columns at 0, 2 and 1, and a constant
    features=jnp.arange(6.0).reshape(1, 2, 3, 1),
    tables=(jnp.array([[10.0, 30], [11, 31]]), jnp.array([[20.0], [21], [22]])),
    constants=jnp.array([7.0]),
    columns=((0, 2), (1,)),
)


def numbers(seed: int, *shape: int, mean: float = 0.0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(mean, size=shape), jnp.float32)


def test_the_array_has_features_then_positions_in_their_columns_then_constants():
    expected = [
        [0, 10, 20, 30, 7],
        [1, 10, 21, 30, 7],
        [2, 10, 22, 30, 7],
        [3, 11, 20, 31, 7],
        [4, 11, 21, 31, 7],
        [5, 11, 22, 31, 7],
    ]
    np.testing.assert_array_equal(HAND.array(), [expected])


def test_sizes_are_those_of_the_array():
    assert (HAND.grid, HAND.num_features) == ((2, 3), 1)
    assert (1, HAND.num_inputs, HAND.channels) == HAND.array().shape


@pytest.mark.parametrize("grid", [(5,), (4, 3), (2, 3, 2)])
def test_the_array_of_fourier_positions_has_the_official_order(grid):
    features, resolution = numbers(0, 2, *grid, 3), tuple(map(float, grid))
    tables = tuple(jnp.asarray(axis_table(n, 3, mu), jnp.float32) for n, mu in zip(grid, resolution, strict=True))
    array = Segment(features, tables, columns=channel_order(len(grid), 3)).array()
    positions = reference.fourier_features(grid, 3, resolution).astype(np.float32)
    np.testing.assert_array_equal(array[..., :3], features.reshape(2, -1, 3))
    np.testing.assert_allclose(array[..., 3:], np.stack([positions] * 2), atol=2e-7)  # sines apart by a float64 rounding


def test_an_imagenet_picture_has_50176_inputs_of_261_channels():
    positions = FourierPositions(kind="fourier", num_bands=64, max_resolution=(224.0, 224.0))
    inputs = InputArray(InputSpec("image", (224, 224), 3), positions, nnx.Rngs(0))
    segment = inputs(jnp.zeros((1, 224, 224, 3)))
    assert (segment.num_inputs, segment.channels, inputs.channels) == (50_176, 261, 261)


@jax.jit
def compiled(segment: Segment) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    return segment.statistics(), segment.array()


def assert_statistics(segment: Segment, tolerance: float) -> None:
    (mean, scale), array = compiled(segment)
    array = np.asarray(array, np.float64)
    expected = array.mean(-1)
    np.testing.assert_allclose(mean.reshape(expected.shape), expected, atol=2.5e-7 * max(1, np.abs(expected).max()))
    np.testing.assert_allclose(scale.reshape(expected.shape), (array.var(-1) + EPSILON) ** -0.5, rtol=tolerance)


def segments(mean: float) -> dict[str, Segment]:
    def n(seed: int, *shape: int) -> jax.Array:
        return numbers(seed, *shape, mean=mean)

    columns = (tuple(range(9)), tuple(range(9, 18)))
    return {
        "features": Segment(n(0, 2, 42, 20)),
        "one_table": Segment(n(0, 2, 42, 3), (n(1, 42, 16),), columns=(tuple(range(16)),)),
        "two_tables": Segment(n(0, 2, 6, 7, 3), (n(1, 6, 9), n(2, 7, 9)), n(3, 5), columns=columns),
    }


@pytest.mark.parametrize("kind", segments(0))
def test_statistics_are_those_of_the_array(kind):
    assert_statistics(segments(0)[kind], 1e-6)


@pytest.mark.parametrize("kind", segments(0))
def test_channels_far_from_zero_keep_their_variance(kind):
    """Mean 1,000, spread 1: the mean's own rounding of 6e-5 shows, and no difference of squares of a million."""
    assert_statistics(segments(1000.0)[kind], 5e-5)


def test_features_far_from_zero_keep_their_variance_beside_positions_that_are_not():
    near = segments(0)["two_tables"]
    segment = Segment(numbers(0, 2, 6, 7, 3, mean=1000.0), near.tables, near.constants, columns=near.columns)
    assert_statistics(segment, 1e-6)


def test_bfloat16_is_summed_in_float32_and_float64_in_float64():
    assert as_statistics(jnp.zeros(1, jnp.bfloat16)).dtype == jnp.float32
    narrow = Segment(HAND.features.astype(jnp.bfloat16))
    assert [x.dtype for x in narrow.statistics()] == [jnp.float32] * 2
    with jax.enable_x64(True):
        assert as_statistics(jnp.zeros(1, jnp.float64)).dtype == jnp.float64


def test_masks_join_and_a_segment_without_one_is_all_seen():
    one, other = Segment(jnp.zeros((2, 2, 3))), Segment(jnp.zeros((2, 1, 3)), mask=jnp.array([[True], [False]]))
    assert whole_mask([one, one]) is None
    np.testing.assert_array_equal(whole_mask([one, other]), [[True, True, True], [True, True, False]])


def test_a_segment_passes_jit_whole():
    result = jax.jit(lambda segment: segment)(HAND)
    assert result.columns == HAND.columns
    np.testing.assert_array_equal(result.features, HAND.features)
