"""The input array in its parts: the fixed permutation, patches, and linear maps that never hold the array."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.baselines.grid import Embed, GridArray, patches, permutation
from perceiver_jax.model.inputs import InputArray
from tests.baselines import small


def grid_array(seed: int | None, positions=small.FOURIER, num_coordinates: int = 0) -> GridArray:
    config = small.config("transformer", positions=positions, permutation_seed=seed)
    return GridArray(config, [small.picture(num_coordinates=num_coordinates)], nnx.Rngs(0))


def whole(array: GridArray, features: jax.Array) -> np.ndarray:
    """The input array itself, from its parts."""
    features, positions = array(features, None)
    if positions is None:
        return np.asarray(features)
    return np.concatenate([features, np.broadcast_to(positions, (*features.shape[:-1], positions.shape[-1]))], axis=-1)


def test_a_permutation_has_every_input_once():
    order = permutation(7, 50_176)
    assert not np.array_equal(order, np.arange(50_176))
    np.testing.assert_array_equal(np.sort(order), np.arange(50_176))


def test_a_permutation_is_fixed_by_its_seed():
    assert permutation(0, 8).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]
    assert permutation(1, 8).tolist() != permutation(0, 8).tolist()


@pytest.mark.parametrize(
    ("positions", "num_coordinates"),
    [(small.FOURIER, 0), (small.FOURIER, 2), (small.LEARNED, 0), (small.NONE, 0), (small.NONE, 2)],
)
def test_the_parts_make_the_perceivers_input_array(positions, num_coordinates):
    features = small.example().astype(jnp.float32)
    array = InputArray(small.picture(num_coordinates=num_coordinates), positions, nnx.Rngs(0))(features).array()
    ours = grid_array(None, positions, num_coordinates)
    assert ours.channels == array.shape[-1]
    np.testing.assert_array_equal(whole(ours, features).reshape(array.shape), array)


@pytest.mark.parametrize("positions", [small.FOURIER, small.LEARNED, small.NONE], ids=lambda p: p.kind)
def test_a_shuffled_input_keeps_its_position(positions):
    features = small.example().astype(jnp.float32)
    shuffled, plain = (whole(grid_array(seed, positions), features).reshape(2, 48, -1) for seed in (3, None))
    np.testing.assert_array_equal(shuffled, plain[:, permutation(3, 48)])


def test_coordinates_that_examples_bring_are_shuffled_with_them():
    features = small.example().astype(jnp.float32)
    shuffled, plain = (whole(grid_array(seed, num_coordinates=2), features).reshape(2, 48, -1) for seed in (3, None))
    np.testing.assert_array_equal(shuffled, plain[:, permutation(3, 48)])
    assert np.abs(plain[0] - plain[1]).max() > 0.1


def test_features_on_another_grid_are_refused():
    with pytest.raises(ValueError, match=r"\(8, 6\): expected \(6, 8\)"):
        grid_array(3)(small.example(8, 6), None)


def test_patches_are_rows_of_their_inputs_and_zeros_beyond_the_edge():
    x = jnp.arange(1, 13).reshape(1, 3, 2, 2).astype(jnp.float32)
    expected = [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11, 12, 0, 0, 0, 0]]
    np.testing.assert_array_equal(patches(x, 2)[0], expected)


def test_patches_go_row_by_row_over_the_grid():
    np.testing.assert_array_equal(patches(jnp.arange(16.0).reshape(1, 4, 4, 1), 2)[0, :, 0], [0, 2, 8, 10])


def test_patches_of_any_number_of_axes():
    assert patches(jnp.zeros((2, 5, 3)), 2).shape == (2, 3, 2 * 3)
    assert patches(jnp.zeros((2, 4, 5, 6, 3)), 2).shape == (2, 2 * 3 * 3, 8 * 3)


@pytest.mark.parametrize("positions", [small.FOURIER, small.NONE], ids=lambda p: p.kind)
def test_tokens_and_their_gradients_are_those_of_a_linear_map_of_the_whole_array(positions):
    with jax.enable_x64(True):
        array, features = grid_array(3, positions), small.example()
        graph, state = nnx.split(nnx.eval_shape(lambda: Embed(array, 4, 5, None, nnx.Rngs(0))))
        rng = np.random.default_rng(0)
        params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), nnx.to_pure_dict(state))["linear"]
        parts = np.split(whole(array, features), [small.FEATURES], axis=-1)
        inputs = jnp.concatenate([patches(jnp.asarray(part), 4) for part in parts if part.size], axis=-1)

        def tokens(params):
            nnx.replace_by_pure_dict(state, {"linear": params})
            return nnx.merge(graph, state)(array(features, None))

        def results(function):
            """The function's value, and the gradients of a sum that weighs every number of it apart."""
            value, pull = jax.vjp(function, params)
            return value, pull(jnp.sin(value))

        ours, expected = (
            jax.jit(functools.partial(results, function))()
            for function in (tokens, lambda params: inputs @ params["kernel"] + params["bias"])
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), ours, expected)
