"""Layer norm: its formula, its digits, and its own gradient rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perceiver_jax.model.norm import EPSILON, LayerNorm, normalize

pytestmark = pytest.mark.usefixtures("optimised")  # digits are what optimisations may cost


def plain(x, scale, bias):
    """The formula in JAX's own operations."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON) * scale + bias


def arrays(*shape: int, mean: float = 0.0) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(mean, size=shape), rng.normal(size=shape[-1]), rng.normal(size=shape[-1]), rng.normal(size=shape)]


@pytest.mark.parametrize("shape", [(6,), (5, 6), (2, 3, 4)])
def test_value_and_gradients_are_those_of_the_formula(shape):
    with jax.enable_x64(True):
        *operands, dy = map(jnp.asarray, arrays(*shape))
        (value, pull), (expected, expected_pull) = (jax.vjp(f, *operands) for f in (normalize, plain))
        np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-13)
        for ours, theirs in zip(pull(dy), expected_pull(dy), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_epsilon_is_1e_5():
    """Variance 1e-5: half of the denominator is epsilon."""
    x = jnp.asarray([[-1.0, 1.0]]) * np.float32(np.sqrt(1e-5))
    np.testing.assert_allclose(LayerNorm(2, None)(x), [[-np.sqrt(0.5), np.sqrt(0.5)]], rtol=1e-5)


def test_tokens_far_from_zero_keep_their_digits():
    x, *_ = arrays(4, 64, mean=1000.0)
    x = x.astype(np.float32)
    with jax.enable_x64(True):
        exact = LayerNorm(64, None)(jnp.asarray(x, jnp.float64))
    np.testing.assert_allclose(LayerNorm(64, None)(jnp.asarray(x)), exact, atol=1e-4)  # x is rounded by 3e-5


def test_bfloat16_is_normalised_in_float32():
    x = jnp.asarray(arrays(4, 64)[0], jnp.bfloat16)
    ours = LayerNorm(64, jnp.dtype(jnp.bfloat16))(x)
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_array_equal(ours, LayerNorm(64, None)(x.astype(jnp.float32)).astype(jnp.bfloat16))


def test_its_gradient_keeps_one_array_of_the_inputs_size():
    x, scale, bias, _ = arrays(7, 5)
    kept = jax.eval_shape(lambda *operands: jax.vjp(normalize, *operands)[1], x, scale, bias)
    assert sum(leaf.shape == (7, 5) for leaf in jax.tree.leaves(kept)) == 1
