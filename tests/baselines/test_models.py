"""What all baselines have in common: who minds the order of inputs, that they learn, types, and recomputation."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from perceiver_jax.tasks.single_label import losses
from perceiver_jax.training.step import TrainState, Variables, mean_gradient, parameter_update, train_step
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
def test_pictures_bright_on_the_left_are_reported_from_those_bright_on_the_right(kind):
    """Updates on pictures whose channels are alike but for where they are; then other pictures, by stored statistics."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: small.model(kind)))
    optimizer = optax.adam(0.01)

    def loss(variables, batch):
        model = nnx.merge(graph, *variables, copy=True)
        value = losses.softmax_cross_entropy(model(batch["inputs"]).logits, batch["labels"], 0.0).mean()
        return value, ({"loss": value}, nnx.state(model, nnx.BatchStat))

    update = train_step(mean_gradient(loss, 1), parameter_update(optimizer, None, small.config(kind).untrained_decay))

    def run():
        variables = Variables(*nnx.state(small.model(kind), nnx.Param, nnx.BatchStat))
        state = TrainState.create(variables, optimizer, keep_ema=False)
        batch = lambda i: dict(zip(("inputs", "labels"), halves(i), strict=True))  # noqa: E731
        state, sums = jax.lax.scan(lambda state, i: update(state, batch(i)), state, jnp.arange(30))
        features, labels = halves(1000)
        model = nnx.merge(graph, *state.evaluated)
        model.eval()
        return sums, model(features).logits.argmax(-1), labels

    sums, answers, labels = jax.jit(run)()
    chex.assert_tree_all_finite(sums)
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

    def results(state, features):
        model = nnx.merge(graph, state)
        return model(features).logits, nnx.state(model)

    outputs = jax.tree.leaves(jax.eval_shape(results, state, features))  # a batch norm's moments too
    assert {leaf.dtype for leaf in (*jax.tree.leaves(state), *outputs)} == {jnp.dtype(jnp.float32)}


@KINDS
def test_the_classifier_starts_from_zero_and_its_logits_so(kind):
    run = jax.jit(lambda x: small.model(kind)(x).logits)
    logits = run(small.example().astype(jnp.float32))
    np.testing.assert_array_equal(logits, np.zeros((2, small.CLASSES)))
