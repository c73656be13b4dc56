"""Attention's own gradient rule is the one that differentiation would give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perceiver_jax.model.attend import attend, attention_logits

pytestmark = pytest.mark.usefixtures("optimised")  # digits are what optimisations may cost

SHAPES = [(2, 3, 4, 5, 6), (1, 1, 1, 7, 2), (2, 1, 5, 1, 3)]  # B H N S K


def plain(query, key, value, mask):
    """The formula in JAX's own operations."""
    return jnp.einsum("BHNS,BHSK->BHNK", jax.nn.softmax(attention_logits(query, key, mask)), value)


def arrays(shape, dtype):
    b, h, n, s, k = shape
    rng = np.random.default_rng(0)
    query, key, value, dresult = (rng.normal(size=(b, h, size, k)) for size in (n, s, s, n))
    mask = rng.random((b, s)) < 0.6
    mask[:, 0] = True
    return [jnp.asarray(x, dtype) for x in (query, key, value)], jnp.asarray(mask), jnp.asarray(dresult, dtype)


def value_and_gradients(function, parts, mask, dresult):
    value, pull = jax.vjp(lambda *parts: function(*parts, mask), *parts)
    return [value, *pull(dresult)]


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradients_are_those_of_the_formula(shape, masked):
    with jax.enable_x64(True):
        parts, mask, dresult = arrays(shape, jnp.float64)
        mask = mask if masked else None
        pairs = zip(*(value_and_gradients(f, parts, mask, dresult) for f in (attend, plain)), strict=True)
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 2e-6), (jnp.bfloat16, 2e-2)])
def test_narrow_types_lose_no_more_than_their_rounding(dtype, tolerance):
    parts, mask, dresult = arrays((2, 3, 16, 40, 8), dtype)
    ours = value_and_gradients(attend, parts, mask, dresult)
    assert {x.dtype for x in ours} == {jnp.dtype(dtype)}
    with jax.enable_x64(True):
        wide = [[jnp.asarray(x, jnp.float64) for x in parts], mask, jnp.asarray(dresult, jnp.float64)]
        for narrow, exact in zip(ours, value_and_gradients(plain, *wide), strict=True):
            np.testing.assert_allclose(np.asarray(narrow, np.float64), exact, atol=tolerance * np.abs(exact).max())


def test_logits_of_a_hundred_thousand_overflow_neither_value_nor_gradients():
    parts, mask, dresult = arrays((1, 2, 3, 4, 5), jnp.float32)
    parts[0] = parts[0] * 1e5
    assert all(np.isfinite(x).all() for x in value_and_gradients(attend, parts, mask, dresult))


def test_of_query_times_key_size_one_array_is_kept():
    parts, _, _ = arrays((2, 3, 16, 40, 8), jnp.float32)
    kept = jax.eval_shape(lambda *parts: jax.vjp(attend, *parts)[1], *parts)
    assert sum(leaf.shape == (2, 3, 16, 40) for leaf in jax.tree.leaves(kept)) == 1
