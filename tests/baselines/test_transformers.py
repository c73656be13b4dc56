"""The Transformer and ViT against plain numpy in float64, with random parameters, biases and norms too."""

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from tests.baselines import small
from tests.model import reference

EXACT = {"rtol": 1e-11, "atol": 1e-11}


def input_array(features: np.ndarray) -> np.ndarray:
    """Each pixel's features, then its position."""
    positions = reference.fourier_features(small.GRID, 2, (6.0, 8.0)).reshape(1, *small.GRID, -1)
    return np.concatenate([features, np.repeat(positions, len(features), axis=0)], axis=-1)


def layers(tokens: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    for layer in range(2):
        tokens = reference.self_attend(tokens, jax.tree.map(lambda leaf, i=layer: leaf[i], params["self_attends"]), 2)
    return tokens


def test_a_transformer_is_self_attends_over_all_pixels_and_their_mean():
    with jax.enable_x64(True):
        features = small.example()
        graph, state = small.build("transformer")
        logits = small.run((graph, state), features).logits
    params = small.as_numpy(state)
    tokens = reference.linear(input_array(np.asarray(features)).reshape(2, 48, -1), params["embed"]["linear"])
    expected = reference.linear(layers(tokens, params["layers"]).mean(axis=1), params["head"])
    np.testing.assert_allclose(logits, expected, **EXACT)


@pytest.mark.parametrize("embedding", [True, False])
def test_a_vit_is_a_class_token_among_patches(embedding):
    with jax.enable_x64(True):
        features = small.example()
        graph, state = small.build("vit", position_embedding=embedding)
        logits = small.run((graph, state), features).logits
    params = small.as_numpy(state)
    array = np.pad(input_array(np.asarray(features)), [(0, 0), (0, 2), (0, 0), (0, 0)])  # 6 rows are one and a half patches
    squares = [array[:, i : i + 4, j : j + 4] for i in (0, 4) for j in (0, 4)]
    rows = [np.concatenate([s[..., :2].reshape(2, -1), s[..., 2:].reshape(2, -1)], axis=1) for s in squares]
    tokens = reference.linear(np.stack(rows, axis=1), params["embed"]["linear"])
    tokens = np.concatenate([np.tile(params["class_token"], (2, 1, 1)), tokens], axis=1)
    if embedding:
        tokens = tokens + params["position_embedding"]
    tokens = layers(tokens, params["layers"])
    np.testing.assert_allclose(
        logits, reference.linear(reference.layer_norm(tokens[:, 0], params["norm"]), params["head"]), **EXACT
    )


def test_a_vit_starts_with_a_class_token_of_zero_and_small_position_embeddings():
    create = jax.jit(lambda: nnx.state(small.model("vit")))
    start = small.as_numpy(create())
    assert not start["class_token"].any()
    assert start["position_embedding"].shape == (5, 8)
    assert 0.03 < np.abs(start["position_embedding"]).max() <= 0.04  # normal, cut at two deviations of 0.02
