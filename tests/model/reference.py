"""The Perceiver in plain numpy and float64: what the fast model is compared with, value by value.

Written from the paper alone (arXiv 2103.03206 v2, sections 3.1, 3.2 and appendix C); it shares nothing with the package
but the config and the names of the parameters. Attention goes example by example and head by head, as the formula does.
Axes: B examples, M inputs of C channels, N latents of D channels, H heads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from perceiver_jax.model.config import FourierPositions, LearnedPositions, PerceiverConfig
from perceiver_jax.section import of_stream

EPSILON = 1e-5  # of every LayerNorm

Params = Mapping[str, Any]
Array = np.ndarray


def fourier_features(grid: tuple[int, ...], num_bands: int, max_resolution: Sequence[float]) -> Float[Array, "M channels"]:
    """The position encoding of every point of a grid: d(2K + 1) channels of row-major points (section 3.2).

    Channels: the d raw coordinates, the sines of axis 1's K bands, of axis 2's, ..., then the cosines likewise.
    """
    axes = np.meshgrid(*(np.linspace(-1.0, 1.0, size) for size in grid), indexing="ij")
    coordinates = [axis.reshape(-1) for axis in axes]
    bands = [np.linspace(1.0, resolution / 2, num_bands) for resolution in max_resolution]
    angles = [np.pi * band * x for x, axis_bands in zip(coordinates, bands, strict=True) for band in axis_bands]
    return np.stack([*coordinates, *(np.sin(a) for a in angles), *(np.cos(a) for a in angles)], axis=1)


def layer_norm(x: Float[Array, "*rows C"], params: Params) -> Float[Array, "*rows C"]:
    """Each row to mean 0 and variance 1 over its channels, times `scale`, plus `bias`."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPSILON) * params["scale"] + params["bias"]


def gelu(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """The tanh form of GELU, which the authors' code uses."""
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


def linear(x: Float[Array, "*rows i"], params: Params) -> Float[Array, "*rows o"]:
    """x W + b."""
    return np.einsum("...i,io->...o", x, params["kernel"]) + params["bias"]


def mlp(x: Float[Array, "*rows D"], params: Params) -> Float[Array, "*rows D"]:
    """Linear, GELU, linear."""
    return linear(gelu(linear(x, params["expand"])), params["contract"])


def attention(
    query: Float[Array, "B N C"],
    key: Float[Array, "B M C"],
    value: Float[Array, "B M C"],
    num_heads: int,
    mask: Bool[Array, "B M"] | None = None,
) -> tuple[Float[Array, "B N C"], Float[Array, "B H N M"]]:
    """Softmax(Q K^T / sqrt(d)) V with d = C / H channels a head, and the logits Q K^T / sqrt(d) before any mask.

    Inputs whose mask is False get no weight; an example that has nothing to see gets zeros.
    """
    size = query.shape[-1] // num_heads
    result = np.empty(query.shape)
    logits = np.empty((query.shape[0], num_heads, query.shape[1], key.shape[1]))
    for b in range(query.shape[0]):
        present = np.ones(key.shape[1], bool) if mask is None else mask[b]
        nothing, present = not present.any(), present if present.any() else ~present
        for h in range(num_heads):
            head = slice(h * size, (h + 1) * size)
            scores = np.einsum("nc,mc->nm", query[b, :, head], key[b, :, head]) / np.sqrt(size)
            weights = np.where(present, np.exp(scores - scores[:, present].max(axis=1, keepdims=True)), 0.0)
            weights /= weights.sum(axis=1, keepdims=True)
            result[b, :, head] = 0 if nothing else np.einsum("nm,mc->nc", weights, value[b, :, head])
            logits[b, h] = scores
    return result, logits


def cross_attend(
    latents: Float[Array, "B N D"],
    inputs: Float[Array, "B M C"],
    params: Params,
    num_heads: int,
    mask: Bool[Array, "B M"] | None = None,
) -> tuple[Float[Array, "B N D"], Float[Array, "B H N M"]]:
    """The latents after they have looked at the inputs, and the attention logits (appendix C)."""
    normed = layer_norm(inputs, params["input_norm"])
    query = linear(layer_norm(latents, params["query_norm"]), params["query"])
    key, value = linear(normed, params["key"]), linear(normed, params["value"])
    attended, logits = attention(query, key, value, num_heads, mask)
    latents = latents + linear(attended, params["output"])
    return latents + mlp(layer_norm(latents, params["mlp_norm"]), params["mlp"]), logits


def self_attend(latents: Float[Array, "B N D"], params: Params, num_heads: int) -> Float[Array, "B N D"]:
    """The latents after they have looked at each other once (appendix C)."""
    normed = layer_norm(latents, params["norm"])
    query, key, value = (linear(normed, params[name]) for name in ("query", "key", "value"))
    attended, _ = attention(query, key, value, num_heads)
    latents = latents + linear(attended, params["output"])
    return latents + mlp(layer_norm(latents, params["mlp_norm"]), params["mlp"])


def perceiver(
    params: Params,
    config: PerceiverConfig,
    features: Mapping[str, Float[Array, "B ..."]],
    masks: Mapping[str, Bool[Array, "B _"]] | None = None,
) -> tuple[Float[Array, "B classes"], list[dict[str, Float[Array, "B H N _"]]]]:
    """The class logits, and the attention logits of each cross-attend of the encoder in the order they are computed.

    Features and masks are by stream, and so are the attention logits.
    """
    streams = {name: _inputs(params, config, name, features[name]) for name in sorted(features)}
    inputs = np.concatenate(list(streams.values()), axis=1)
    full = {name: np.ones(rows.shape[:2], bool) for name, rows in streams.items()} | dict(masks or {})
    mask = np.concatenate([full[name] for name in streams], axis=1)
    ends = np.cumsum([rows.shape[1] for rows in streams.values()])[:-1]
    latents = np.stack([params["latents"]] * len(inputs))
    captured = []
    for kind, weights in config.schedule:
        if kind == "cross_attend":
            module = params["cross_attends"][str(weights)]
            latents, logits = cross_attend(latents, inputs, module, config.num_cross_attend_heads, mask)
            captured.append(dict(zip(streams, np.split(logits, ends, axis=-1), strict=True)))
        else:
            for layer in range(config.num_self_attends_per_block):
                module = _layer(params["self_attends"][str(weights)], layer)
                latents = self_attend(latents, module, config.num_self_attend_heads)
    return _head(params["head"], config, latents), captured


def _inputs(
    params: Params, config: PerceiverConfig, stream: str, features: Float[Array, "B *grid F"]
) -> Float[Array, "B M C"]:
    """A stream's part of the input array: each element's features, its position, and the stream's vector."""
    grid, positions = features.shape[1:-1], of_stream(config.positions, stream)
    own = params["inputs"]["streams"][stream] if stream in params.get("inputs", {}).get("streams", {}) else {}
    parts = [features.reshape(len(features), -1, features.shape[-1])]
    if isinstance(positions, FourierPositions):
        parts.append(fourier_features(grid, positions.num_bands, positions.max_resolution)[None])
    elif isinstance(positions, LearnedPositions):
        parts.append(own["positions"][None])
    if "vector" in own:
        parts.append(own["vector"][None, None])
    return np.concatenate([np.broadcast_to(part, (*parts[0].shape[:2], part.shape[-1])) for part in parts], axis=-1)


def _head(params: Params, config: PerceiverConfig, latents: Float[Array, "B N D"]) -> Float[Array, "B classes"]:
    """Mean over the latents, or one learned query with one head that looks at them; then a linear layer."""
    if config.head == "mean_linear":
        return linear(latents.mean(axis=1), params["logits"])
    query = np.stack([params["query"]] * len(latents))
    answer, _ = cross_attend(query, latents, params["cross_attend"], num_heads=1)
    return linear(answer[:, 0], params["logits"])


def _layer(stacked: Params, layer: int) -> Params:
    """One layer's parameters out of arrays that stack them along their first axis."""
    return {name: _layer(leaf, layer) if isinstance(leaf, Mapping) else leaf[layer] for name, leaf in stacked.items()}
