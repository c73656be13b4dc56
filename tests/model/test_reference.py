"""The numpy reference is itself right: numbers worked by hand, and laws that the paper's formulas obey."""

import math

import numpy as np
import pytest

from tests.model import reference

IDENTITY_NORM = {"scale": np.ones(2), "bias": np.zeros(2)}
RNG = np.random.default_rng


def test_fourier_features_of_three_points_and_two_bands_are_the_values_worked_by_hand():
    # Coordinates -1, 0, 1; mu = 3 gives the bands 1 and 1.5.
    # sin(+-pi) = 0, sin(+-1.5 pi) = -+1; cos(+-pi) = -1, cos(+-1.5 pi) = 0.
    expected = [
        [-1, 0, 1, -1, 0],
        [0, 0, 0, 1, 1],
        [1, 0, -1, -1, 0],
    ]
    np.testing.assert_allclose(reference.fourier_features((3,), 2, (3.0,)), expected, atol=1e-15)


def test_bands_rise_linearly_from_1_to_half_the_max_resolution():
    x = -1 + 2 / 1000  # the second of 1,001 points
    sines = reference.fourier_features((1001,), 64, (224.0,))[1, 1:65]
    bands = [1 + (112 - 1) * k / 63 for k in range(64)]
    np.testing.assert_allclose(sines, [math.sin(math.pi * band * x) for band in bands], atol=1e-12)


def test_the_corners_of_the_grid_are_exactly_at_plus_and_minus_one():
    corners = reference.fourier_features((4, 7), 2, (4.0, 7.0))[[0, 6, 21, 27], :2]
    np.testing.assert_array_equal(corners, [[-1, -1], [-1, 1], [1, -1], [1, 1]])


def test_points_are_row_major_with_the_row_coordinate_first():
    coordinates = reference.fourier_features((2, 3), 1, (2.0, 3.0))[:, :2]
    np.testing.assert_array_equal(coordinates, [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]])


def test_channels_are_the_raw_coordinates_then_all_sines_axis_by_axis_then_all_cosines():
    row, column = -1 / 3, 1 / 3  # point (1, 2) of 4 x 4
    bands = {0: (1.0, 2.0, 3.0), 1: (1.0, 3.0, 5.0)}
    phases = [math.pi * band * x for axis, x in enumerate((row, column)) for band in bands[axis]]
    expected = [row, column, *map(math.sin, phases), *map(math.cos, phases)]
    np.testing.assert_allclose(reference.fourier_features((4, 4), 3, (6.0, 10.0))[6], expected, atol=1e-14)


@pytest.mark.parametrize(("grid", "bands", "channels"), [((9,), 192, 385), ((4, 4), 64, 258), ((2, 3, 4), 16, 99)])
def test_d_axes_and_k_bands_make_d_times_2k_plus_1_channels(grid, bands, channels):
    assert reference.fourier_features(grid, bands, (8.0,) * len(grid)).shape == (math.prod(grid), channels)


def test_layer_norm_divides_by_the_root_of_the_variance_plus_1e_5():
    # Mean 3, variance 4: (1 - 3) / sqrt(4 + 1e-5) = -0.99999875.
    result = reference.layer_norm(np.array([[1.0, 5.0]]), {"scale": np.array([1.0, 10.0]), "bias": np.array([0.5, 0.0])})
    np.testing.assert_allclose(result, [[0.5 - 0.99999875, 9.9999875]], atol=1e-10)


def test_layer_norm_shows_its_epsilon_where_the_variance_is_of_its_size():
    # Variance 1e-5: half of the denominator is epsilon.
    x = np.array([[-1.0, 1.0]]) * math.sqrt(1e-5)
    np.testing.assert_allclose(reference.layer_norm(x, IDENTITY_NORM), [[-math.sqrt(0.5), math.sqrt(0.5)]], atol=1e-12)


def test_gelu_is_the_tanh_form_and_not_the_erf_form():
    # tanh(sqrt(2 / pi) * 1.044715) = 0.68238399; the erf form gives 0.84134475 at 1.
    np.testing.assert_allclose(reference.gelu(np.array([0.0, 1.0, -1.0])), [0, 0.841191991, -0.158808009], atol=1e-9)


def test_attention_of_one_query_and_two_keys_is_the_value_worked_by_hand():
    # Logits 0 and 2 ln 3 / sqrt(4) = ln 3: weights 1/4 and 3/4.
    query = np.array([[[2.0, 0, 0, 0]]])
    key = np.array([[[0.0, 1, 0, 0], [math.log(3), 5, 0, 0]]])
    value = np.array([[[4.0, 0, 8, 0], [8.0, 4, 0, 1]]])
    result, logits = reference.attention(query, key, value, num_heads=1)
    np.testing.assert_allclose(logits, [[[[0, math.log(3)]]]], atol=1e-15)
    np.testing.assert_allclose(result, [[[7, 3, 2, 0.75]]], atol=1e-14)


def test_two_heads_attend_each_with_its_own_half_of_the_channels():
    rng = RNG(0)
    query, key, value = rng.normal(size=(3, 2, 5, 6))
    both, logits = reference.attention(query, key, value, num_heads=2)
    for head, part in enumerate((slice(0, 3), slice(3, 6))):
        alone, alone_logits = reference.attention(query[..., part], key[..., part], value[..., part], num_heads=1)
        np.testing.assert_allclose(both[..., part], alone, atol=1e-14)
        np.testing.assert_allclose(logits[:, head], alone_logits[:, 0], atol=1e-14)


def test_masked_inputs_are_as_good_as_absent():
    rng = RNG(1)
    query, key, value = rng.normal(size=(1, 3, 4)), rng.normal(size=(1, 5, 4)), rng.normal(size=(1, 5, 4))
    present = np.array([False, True, True, False, True])
    masked, _ = reference.attention(query, key, value, 2, present[None])
    absent, _ = reference.attention(query, key[:, present], value[:, present], 2)
    np.testing.assert_allclose(masked, absent, atol=1e-14)


def test_a_cross_attend_with_zero_kernels_is_two_residuals_and_their_biases():
    # Attention then returns the output's bias (10), the MLP its own (100): the latents plus 110.
    zero = {"kernel": np.zeros((2, 2)), "bias": np.zeros(2)}
    params = dict.fromkeys(("query_norm", "input_norm", "mlp_norm"), IDENTITY_NORM)
    params |= dict.fromkeys(("query", "key", "value"), zero)
    params |= {
        "output": zero | {"bias": np.full(2, 10.0)},
        "mlp": {"expand": zero, "contract": zero | {"bias": np.full(2, 100.0)}},
    }
    latents, inputs = RNG(2).normal(size=(1, 3, 2)), RNG(3).normal(size=(1, 4, 2))
    result, _ = reference.cross_attend(latents, inputs, params, num_heads=1)
    np.testing.assert_allclose(result, latents + 110, atol=1e-13)


def test_a_self_attend_is_a_cross_attend_from_the_latents_to_themselves_with_one_norm():
    rng = RNG(4)
    layers = {name: {"kernel": rng.normal(size=(4, 4)), "bias": rng.normal(size=4)} for name in "qkvoec"}
    norm, mlp_norm = ({"scale": rng.normal(size=4), "bias": rng.normal(size=4)} for _ in range(2))
    shared = dict(zip(("query", "key", "value", "output"), (layers[name] for name in "qkvo"), strict=True))
    shared |= {"mlp_norm": mlp_norm, "mlp": {"expand": layers["e"], "contract": layers["c"]}}
    latents = rng.normal(size=(2, 3, 4))
    expected, _ = reference.cross_attend(latents, latents, shared | {"query_norm": norm, "input_norm": norm}, num_heads=2)
    np.testing.assert_allclose(reference.self_attend(latents, shared | {"norm": norm}, num_heads=2), expected, atol=1e-13)


def test_a_cross_attend_does_not_see_the_order_of_its_inputs():
    rng = RNG(5)
    params = {name: {"scale": rng.normal(size=3), "bias": rng.normal(size=3)} for name in ("query_norm", "input_norm")}
    params |= {name: {"kernel": rng.normal(size=(3, 3)), "bias": rng.normal(size=3)} for name in ("query", "key")}
    params |= {"value": params["key"], "output": params["query"], "mlp_norm": params["query_norm"]}
    params |= {"mlp": {"expand": params["key"], "contract": params["query"]}}
    latents, inputs = rng.normal(size=(1, 2, 3)), rng.normal(size=(1, 6, 3))
    one, _ = reference.cross_attend(latents, inputs, params, num_heads=1)
    other, _ = reference.cross_attend(latents, inputs[:, rng.permutation(6)], params, num_heads=1)
    np.testing.assert_allclose(other, one, atol=1e-13)
