"""ResNet against plain numpy, and what its norms keep of a batch."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from perceiver_jax.baselines.resnet import BatchNorm, NormedConv
from tests.baselines import small
from tests.model import reference

EXACT = {"rtol": 1e-9, "atol": 1e-9}  # norms over few numbers widen roundings


def convolution(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Every place of the kernel in turn, over the picture with zeros around it."""
    edge = len(kernel) // 2
    padded = np.pad(x, [(0, 0), (edge, edge), (edge, edge), (0, 0)])
    height, width = x.shape[1:3]
    return sum(
        padded[:, i : i + height : stride, j : j + width : stride] @ kernel[i, j]
        for i in range(len(kernel))
        for j in range(len(kernel))
    )


def normed(x: np.ndarray, params: dict[str, Any], stride: int) -> np.ndarray:
    x = convolution(x, params["kernel"], stride)
    x = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
    return x * params["norm"]["scale"] + params["norm"]["bias"]


def pooled(x: np.ndarray) -> np.ndarray:
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    height, width = x.shape[1:3]
    return np.max([padded[:, i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3)], axis=0)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def expected_logits(features: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    positions = reference.fourier_features(small.GRID, 2, (6.0, 8.0)).reshape(1, *small.GRID, -1)
    x = np.concatenate([features, np.repeat(positions, len(features), axis=0)], axis=-1)
    x = pooled(relu(normed(x, params["stem"], 2)))
    for block, stride in zip(params["blocks"].values(), (1, 2, 1), strict=True):
        y = relu(normed(x, block["reduce"], 1))
        y = relu(normed(y, block["spatial"], stride))
        around = normed(x, block["shortcut"], stride) if "shortcut" in block else x
        x = relu(around + normed(y, block["expand"], 1))
    return reference.linear(x.mean(axis=(1, 2)), params["head"])


def test_a_resnet_is_its_convolutions_norms_and_shortcuts():
    with jax.enable_x64(True):
        features = small.example(batch=5)
        graph, state = small.build("resnet")
        logits = small.run((graph, state), features).logits
    np.testing.assert_allclose(logits, expected_logits(np.asarray(features), small.as_numpy(state)), **EXACT)


def run(built: tuple[nnx.GraphDef, nnx.State], features: jax.Array, evaluated: bool) -> tuple[jax.Array, nnx.State]:
    """The logits, and the model's variables after them."""
    graph, state = built

    def forward(state, features):
        model = nnx.merge(graph, state)
        if evaluated:
            model.eval()
        return model(features).logits, nnx.state(model)

    return jax.jit(forward)(state, features)


def test_in_evaluation_a_batchs_own_moments_change_nothing():
    with jax.enable_x64(True):
        built, features = small.build("resnet"), small.example(batch=5)
        logits, state = run(built, features, evaluated=False)
        again, after = run((built[0], state), features, evaluated=True)
    np.testing.assert_allclose(again, logits, rtol=1e-11)
    chex.assert_trees_all_equal(after, state)


def test_in_evaluation_examples_do_not_know_of_each_other():
    with jax.enable_x64(True):
        (graph, _), features = small.build("resnet"), small.example(batch=5)
        _, state = run(small.build("resnet"), features, evaluated=False)
        together, _ = run((graph, state), features, evaluated=True)
        others, _ = run((graph, state), features.at[0].set(9.0), evaluated=True)
    np.testing.assert_array_equal(others[1:], together[1:])
    assert np.abs(others[0] - together[0]).max() > 1e-3


def test_a_batch_computed_again_leaves_the_same_moments():
    """Remat: what a block sets while it is computed again must not be lost, nor set twice."""
    with jax.enable_x64(True):
        features, (_, state) = small.example(batch=5), small.build("resnet")
        after = [run((small.build("resnet", remat=remat)[0], state), features, False)[1] for remat in ("none", "block")]
    chex.assert_trees_all_close(*(nnx.filter_state(state, nnx.BatchStat) for state in after), rtol=1e-12)
    moved = jax.tree.map(lambda a, b: np.any(a != b), *(nnx.filter_state(s, nnx.BatchStat) for s in (after[1], state)))
    assert all(jax.tree.leaves(moved))


def test_moments_are_of_all_examples_and_pixels():
    x = np.random.default_rng(0).normal(size=(4, 3, 5, 2)).astype(np.float32) + 100
    norm = BatchNorm(2, None, zero=False)
    norm(jnp.asarray(x))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(norm.mean[...], wide.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(norm.variance[...], wide.var(axis=(0, 1, 2)), rtol=1e-5)  # far from zero, as near it


def test_a_block_starts_as_what_goes_around_it():
    x = np.abs(np.random.default_rng(0).normal(size=(2, 3, 4, 24))).astype(np.float32)
    run = jax.jit(lambda x: small.model("resnet").blocks[2](x))
    np.testing.assert_array_equal(run(jnp.asarray(x)), x)


def test_kernels_start_he_normal_in_what_comes_in():
    create = lambda: NormedConv(50, 60, 3, 1, None, nnx.Rngs(0)).kernel[...]  # noqa: E731
    kernel = np.asarray(jax.jit(create)())
    assert abs(kernel.std() * np.sqrt(3 * 3 * 50 / 2) - 1) < 0.01  # 27,000 draws


def test_inputs_on_other_than_two_axes_are_refused():
    with pytest.raises(ValueError, match=r"model.kind resnet: expected inputs on 2 axes, image has 48"):
        small.model("resnet", (48,), positions=small.NONE)
