"""The Perceiver as a paper's reader would write it in JAX: the measure of what `perceiver_jax.model` does differently.

The whole input array, keys and values of every input, jax.nn.softmax, x W + b, one module after the other as the schedule
says, and JAX's own gradients. It computes with a Perceiver's own parameters and equals it.

Axes: B examples, M inputs of C channels, N latents of D channels, S a sequence.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model.norm import EPSILON
from perceiver_jax.model.perceiver import Perceiver

Params = Mapping[str, Any]


def perceiver(model: Perceiver, features: Mapping[str, Float[Array, "B ..."]]) -> Float[Array, "B Y"]:
    """The class logits of a model of mean or query head; features by stream."""
    config, params = model.config, nnx.to_pure_dict(nnx.state(model))
    inputs = jnp.concatenate([segment.array() for segment in model.inputs(features)], axis=1)
    latents = jnp.broadcast_to(params["latents"], (inputs.shape[0], *params["latents"].shape))
    for use in config.schedule:
        if use.kind == "cross_attend":
            latents = cross_attend(params["cross_attends"][use.weights], latents, inputs, config.num_cross_attend_heads)
            continue
        stacked = params["self_attends"][use.weights]
        for layer in range(config.num_self_attends_per_block):
            weights = jax.tree.map(lambda leaf, layer=layer: leaf[layer], stacked)
            latents = self_attend(weights, latents, config.num_self_attend_heads)
    return _head(params["head"], latents)


def cross_attend(params: Params, latents: Float[Array, "B N D"], inputs: Float[Array, "B M C"], num_heads: int):
    """The latents after one cross-attend and its MLP."""
    query = linear(params["query"], layer_norm(params["query_norm"], latents))
    latents = latents + linear(params["output"], read(params, query, inputs, num_heads))
    return latents + mlp(params["mlp"], layer_norm(params["mlp_norm"], latents))


def self_attend(params: Params, latents: Float[Array, "B N D"], num_heads: int):
    """The latents after one self-attend and its MLP."""
    x = layer_norm(params["norm"], latents)
    query, key, value = (linear(params[name], x) for name in ("query", "key", "value"))
    latents = latents + linear(params["output"], attention(query, key, value, num_heads))
    return latents + mlp(params["mlp"], layer_norm(params["mlp_norm"], latents))


def read(
    params: Params, query: Float[Array, "B N C"], inputs: Float[Array, "B M C"], num_heads: int
) -> Float[Array, "B N C"]:
    """What each query reads from the inputs: the core of a cross-attend."""
    x = layer_norm(params["input_norm"], inputs)
    return attention(query, linear(params["key"], x), linear(params["value"], x), num_heads)


def attention(
    query: Float[Array, "B N C"], key: Float[Array, "B S C"], value: Float[Array, "B S C"], num_heads: int
) -> Float[Array, "B N C"]:
    """softmax(Q K^T / sqrt(K)) V, by head."""
    query, key, value = (x.reshape(*x.shape[:2], num_heads, -1) for x in (query, key, value))
    weights = jax.nn.softmax(jnp.einsum("BNHK,BSHK->BHNS", query, key) / query.shape[-1] ** 0.5)
    result = jnp.einsum("BHNS,BSHK->BNHK", weights, value)
    return result.reshape(*result.shape[:2], -1)


def mlp(params: Params, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
    """Linear, GELU, linear."""
    return linear(params["contract"], jax.nn.gelu(linear(params["expand"], x)))


def linear(params: Params, x: Float[Array, "*batch i"]) -> Float[Array, "*batch o"]:
    """x W + b."""
    return x @ params["kernel"] + params["bias"]


def layer_norm(params: Params, x: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    """Mean 0 and variance 1 over channels, then scaled and moved."""
    normal = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + EPSILON)
    return normal * params["scale"] + params["bias"]


def _head(params: Params, latents: Float[Array, "B N D"]) -> Float[Array, "B Y"]:
    if "query" not in params:
        return linear(params["logits"], latents.mean(axis=1))
    query = jnp.broadcast_to(params["query"], (latents.shape[0], *params["query"].shape))
    return linear(params["logits"], cross_attend(params["cross_attend"], query, latents, num_heads=1)[:, 0])
