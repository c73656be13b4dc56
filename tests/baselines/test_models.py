"""What all baselines have in common: who minds the order of inputs, that they learn, types, and recomputation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from perceiver_jax.training import losses, optim
from tests.baselines import small

KINDS = pytest.mark.parametrize("kind", list(small.MODELS))


@pytest.mark.parametrize(("kind", "minds"), [("transformer", False), ("vit", True), ("resnet", True)])
def test_shuffled_inputs_with_their_positions_change_all_but_the_transformer(kind, minds):
    with jax.enable_x64(True):
        _, state = small.build(kind)
        before, after = (
            small.run((small.build(kind, permutation_seed=seed)[0], state), small.example()).logits for seed in (None, 3)
        )
    assert (np.abs(after - before).max() > 1e-3) == minds
    if not minds:
        np.testing.assert_allclose(after, before, rtol=1e-10)


@KINDS
def test_pictures_bright_on_the_left_are_told_from_those_bright_on_the_right(kind):
    """Updates on pictures whose channels are alike but for where they are; then other pictures, by stored statistics."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: small.model(kind)))
    config, optimizer, normed = small.config(kind), optax.adam(0.01), kind == "resnet"

    def loss(params, features, labels):
        output = nnx.merge(graph, params)(features)
        each = losses.softmax_cross_entropy(output.logits, labels, 0.0)
        return each.mean(), output.statistics if normed else None

    def step(carry, i):
        params, opt_state, statistics = carry
        (value, batch), grads = jax.value_and_grad(loss, has_aux=True)(params, *halves(i))
        statistics = optim.ema(statistics, batch, config.statistics_decay, i) if normed else None
        updates, opt_state = optimizer.update(grads, opt_state)
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in (value, *jax.tree.leaves(grads))])
        return (optax.apply_updates(params, updates), opt_state, statistics), finite

    def run():
        params = nnx.state(small.model(kind))
        statistics = loss(params, *halves(0))[1]  # of no weight
        (params, _, statistics), finite = jax.lax.scan(step, (params, optimizer.init(params), statistics), jnp.arange(30))
        features, labels = halves(1000)
        output = nnx.merge(graph, params)(features, **({"statistics": statistics} if normed else {}))
        return finite, output.logits.argmax(-1), labels

    finite, answers, labels = jax.jit(run)()
    assert np.all(finite)
    np.testing.assert_array_equal(answers, labels)


def halves(seed: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Noise of two halves, one of them brighter, and whether it is the right one."""
    label, noise = jax.random.split(jax.random.key(seed))
    labels = jax.random.bernoulli(label, 0.5, 32).astype(jnp.int32)
    right = (jnp.arange(small.GRID[1]) >= small.GRID[1] // 2).astype(jnp.int32)
    bright = (labels[:, None] == right).astype(jnp.float32)[:, None, :, None]
    return bright + 0.3 * jax.random.normal(noise, (32, *small.GRID, small.FEATURES)), labels


@pytest.mark.parametrize("kind", ["transformer", "resnet"])  # a ViT's layers are a Transformer's
def test_recomputation_changes_neither_values_nor_gradients(kind):
    def results(remat):
        graph, state = small.build(kind, remat=remat)
        slope = jax.value_and_grad(lambda state: jnp.sin(nnx.merge(graph, state)(small.example()).logits).sum())
        return jax.tree.leaves(jax.jit(slope)(state))

    with jax.enable_x64(True):
        for ours, plain in zip(results("block" if kind == "resnet" else "layer"), results("none"), strict=True):
            np.testing.assert_allclose(ours, plain, rtol=1e-10, atol=1e-12)


@KINDS
def test_of_bfloat16_are_neither_parameters_nor_what_comes_out(kind):
    graph, state = nnx.split(nnx.eval_shape(lambda: small.model(kind, compute_dtype="bfloat16")))
    features = jax.ShapeDtypeStruct((2, *small.GRID, small.FEATURES), jnp.float32)
    outputs = jax.eval_shape(lambda s, f: jax.tree.leaves(nnx.merge(graph, s)(f)), state, features)  # statistics too
    assert {leaf.dtype for leaf in (*jax.tree.leaves(state), *outputs)} == {jnp.dtype(jnp.float32)}


@KINDS
def test_the_classifier_starts_from_zero_and_its_logits_so(kind):
    run = jax.jit(lambda x: small.model(kind)(x).logits)
    logits = run(small.example().astype(jnp.float32))
    np.testing.assert_array_equal(logits, np.zeros((2, small.CLASSES)))
