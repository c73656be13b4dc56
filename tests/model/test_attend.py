"""Attention's own gradient rule is the one that differentiation would give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perceiver_jax.model.attend import attend, attend_part, attention_logits

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


@pytest.mark.parametrize("shape", SHAPES)
def test_the_denominator_and_its_gradients_are_the_logits_log_sum(shape):
    with jax.enable_x64(True):
        (query, key, value), mask, _ = arrays(shape, jnp.float64)

        def formula(query, key):
            return jax.nn.logsumexp(attention_logits(query, key, mask), axis=-1)

        def value_and_pulled(function):
            value, pull = jax.vjp(function, query, key)
            return [value, *pull(jnp.cos(value))]

        ours = value_and_pulled(lambda query, key: attend_part(query, key, value, mask)[1])
        for a, b in zip(ours, value_and_pulled(formula), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_the_denominator_of_nothing_seen_is_the_lowest_number_without_gradient():
    (query, key, value), _, _ = arrays((2, 1, 3, 4, 2), jnp.float32)
    mask = jnp.array([[False] * 4, [True] * 4])
    log, pull = jax.vjp(lambda *parts: attend_part(*parts, mask)[1], query, key, value)
    assert (log[0] == jnp.finfo(jnp.float32).min).all()
    for gradient in pull(jnp.ones_like(log)):
        assert not gradient[0].any()
        assert np.isfinite(gradient).all()


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
