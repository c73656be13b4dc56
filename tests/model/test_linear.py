"""The linear layer's own gradient rule is the one that differentiation would give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.model.linear import Linear, affine

pytestmark = pytest.mark.usefixtures("optimised")  # digits are what optimisations may cost


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (2, 3, 4)])
def test_value_and_gradients_are_those_of_x_w_plus_b(batch):
    with jax.enable_x64(True):
        x, kernel, bias = (jnp.asarray(a) for a in (numbers(0, *batch, 6), numbers(1, 6, 7), numbers(2, 7)))
        dy = jnp.asarray(numbers(3, *batch, 7))
        value, pull = jax.vjp(affine, x, kernel, bias)
        expected, expected_pull = jax.vjp(lambda x, kernel, bias: x @ kernel + bias, x, kernel, bias)
        np.testing.assert_array_equal(value, expected)
        for ours, theirs in zip(pull(dy), expected_pull(dy), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def test_gradients_pass_vmap_over_models_and_a_scan_over_layers():
    with jax.enable_x64(True):
        x, kernels, biases = (jnp.asarray(a) for a in (numbers(0, 2, 3, 4), numbers(1, 2, 5, 4, 4), numbers(2, 2, 5, 4)))

        def loss(layer, x, kernels, biases):
            return jnp.sum(jnp.sin(jax.lax.scan(lambda x, params: (layer(x, *params), None), x, (kernels, biases))[0]))

        def gradients(layer):
            return jax.vmap(jax.grad(lambda *arrays: loss(layer, *arrays), argnums=(0, 1, 2)))(x, kernels, biases)

        for ours, theirs in zip(gradients(affine), gradients(lambda x, k, b: x @ k + b), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_bfloat16_products_leave_parameters_and_their_gradients_in_float32():
    graph, state = nnx.split(nnx.eval_shape(lambda: Linear(4, 5, jnp.dtype(jnp.bfloat16), nnx.Rngs(0))))

    def loss(state, x):
        y = nnx.merge(graph, state)(x)
        return y.astype(jnp.float32).sum(), y

    x = jax.ShapeDtypeStruct((3, 4), jnp.float32)
    gradient, y = jax.eval_shape(jax.grad(loss, has_aux=True), state, x)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((state, gradient))} == {jnp.dtype(jnp.float32)}


def test_without_a_dtype_the_product_is_taken_in_the_inputs_own():
    layer = nnx.eval_shape(lambda: Linear(4, 5, None, nnx.Rngs(0)))
    x = jax.ShapeDtypeStruct((1, 4), jnp.bfloat16)
    assert (
        jax.eval_shape(lambda x, state: nnx.merge(nnx.graphdef(layer), state)(x), x, nnx.state(layer)).dtype == jnp.bfloat16
    )


def test_weights_are_lecun_normal_cut_at_two_deviations_and_biases_zero():
    layer = Linear(400, 500, None, nnx.Rngs(0))
    kernel = np.asarray(layer.kernel[...]) * np.sqrt(400)
    # The cut normal is widened by 1 / 0.87962566 for its deviation to be 1 again. 200,000 draws: 0.2 % each way.
    assert abs(kernel.std() - 1) < 0.005
    assert 2.2 < np.abs(kernel).max() <= 2 / 0.87962566 + 1e-6
    assert not np.any(layer.bias[...])


def test_a_zero_layer_starts_from_zero_and_still_learns():
    layer = Linear(4, 5, None, nnx.Rngs(0), zero=True)
    assert not np.any(layer.kernel[...])
    gradient = nnx.grad(lambda layer: layer(jnp.ones((1, 4))).sum())(layer)
    np.testing.assert_array_equal(gradient.kernel[...], np.ones((4, 5)))
