"""The two kinds of module a Perceiver is made of (section 3.1, appendix C).

Axes: B examples, M inputs of C channels, N latents of D channels, H heads, K channels a head, S a sequence.
Pre-LayerNorm before every attention and every MLP, residuals around both, biases everywhere, no dropout.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model import forms, read
from perceiver_jax.model.attend import attend, attend_part, attention_logits, wiped
from perceiver_jax.model.layers import Mlp
from perceiver_jax.model.linear import Linear
from perceiver_jax.model.norm import LayerNorm
from perceiver_jax.model.segment import Segment, anything_seen, whole_mask

Logits = list[Float[Array, "B H N _"]]  # of one cross-attend before the softmax, by segment


class Part(NamedTuple):
    """What queries read from some of the inputs."""

    values: Float[Array, "B H N K"]
    log_denominator: Float[Array, "B H N"]  # of the softmax
    logits: Logits | None  # where asked for


def split_heads(x: Float[Array, "B S HK"], num_heads: int) -> Float[Array, "B H S K"]:
    """The same channels, by head, heads before the sequence: the layout that batched matmuls read in order."""
    return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)


def merge_heads(x: Float[Array, "B H S K"]) -> Float[Array, "B S HK"]:
    """The inverse of `split_heads`."""
    x = x.swapaxes(1, 2)
    return x.reshape(*x.shape[:2], -1)


class CrossAttend(nnx.Module):
    """Latents attend to the inputs, then pass an MLP. Query, key and value are as wide as the inputs (appendix C)."""

    def __init__(
        self,
        latent_channels: int,
        input_channels: int,
        num_heads: int,
        widening_factor: int,
        dtype: jnp.dtype | None,
        rngs: nnx.Rngs,
    ):
        self.num_heads = num_heads
        self.query_norm = LayerNorm(latent_channels, dtype)
        self.input_norm = LayerNorm(input_channels, dtype)
        self.query = Linear(latent_channels, input_channels, dtype, rngs)
        self.key = Linear(input_channels, input_channels, dtype, rngs)
        self.value = Linear(input_channels, input_channels, dtype, rngs)
        self.output = Linear(input_channels, latent_channels, dtype, rngs)
        self.mlp_norm = LayerNorm(latent_channels, dtype)
        self.mlp = Mlp(latent_channels, widening_factor, dtype, rngs)

    def __call__(
        self, latents: Float[Array, "B N D"], inputs: Sequence[Segment], capture: bool = False
    ) -> tuple[Float[Array, "B N D"], Logits | None]:
        """The latents after one cross-attend, and with `capture` its attention logits, by segment.

        An example without any input that is seen reads zeros.
        """
        values, logits = self.read(self.query(self.query_norm(latents)), inputs, capture)
        latents = latents + self.output(values)
        return latents + self.mlp(self.mlp_norm(latents)), logits

    def read(
        self, query: Float[Array, "B N C"], inputs: Sequence[Segment], capture: bool
    ) -> tuple[Float[Array, "B N C"], Logits | None]:
        """All that touches the M inputs: what each query reads from them, each segment in its form (`forms`)."""
        chosen = forms.chosen(query.shape[1], self.num_heads, inputs)
        if set(chosen) == {"plain"}:
            return self.read_plain(query, inputs, capture)
        inputs = [one.whole() if form == "folded" else one for one, form in zip(inputs, chosen, strict=True)]
        if "plain" not in chosen:
            return self.read_folded(query, inputs, capture)
        plain = [one for one, form in zip(inputs, chosen, strict=True) if form == "plain"]
        rest = [one for one, form in zip(inputs, chosen, strict=True) if form != "plain"]
        both = self._plain(query, plain, capture), self._folded(query, rest, capture)
        values, _ = read.merge([(part.values, part.log_denominator) for part in both])
        values = merge_heads(wiped(values, anything_seen(inputs)))
        if not capture:
            return values, None
        logits = {"plain": iter(both[0].logits), "folded": iter(both[1].logits)}
        return values, [next(logits["plain" if form == "plain" else "folded"]) for form in chosen]

    def read_plain(
        self, query: Float[Array, "B N C"], inputs: Sequence[Segment], capture: bool
    ) -> tuple[Float[Array, "B N C"], Logits | None]:
        """As in the paper: keys and values of every input. The reference of `read_folded`."""
        part = self._plain(query, inputs, capture)
        return merge_heads(part.values), part.logits

    def read_folded(
        self, query: Float[Array, "B N C"], inputs: Sequence[Segment], capture: bool
    ) -> tuple[Float[Array, "B N C"], Logits | None]:
        """The same without keys, values or the input array: see `read`."""
        part = self._folded(query, inputs, capture)
        return wiped(merge_heads(part.values), anything_seen(inputs)), part.logits

    def _plain(self, query: Float[Array, "B N C"], inputs: Sequence[Segment], capture: bool) -> Part:
        x = self.input_norm(jnp.concatenate([segment.array() for segment in inputs], axis=1))
        query, key, value = (split_heads(y, self.num_heads) for y in (query, self.key(x), self.value(x)))
        mask = whole_mask(inputs)
        values, log_denominator = attend_part(query, key, value, mask)
        if not capture:
            return Part(values, log_denominator, None)
        ends = list(itertools.accumulate(segment.num_inputs for segment in inputs))
        return Part(values, log_denominator, jnp.split(attention_logits(query, key, mask), ends[:-1], axis=-1))

    def _folded(self, query: Float[Array, "B N C"], inputs: Sequence[Segment], capture: bool) -> Part:
        batch, num_queries, channels = query.shape
        heads, by_head = (channels, self.num_heads, -1), (self.num_heads, 1, -1)
        scale, offset = self.input_norm.scale[...], self.input_norm.bias[...]
        query = split_heads(query, self.num_heads) * (channels // self.num_heads) ** -0.5
        key, value = ((scale[:, None] * part.kernel[...]).reshape(heads) for part in (self.key, self.value))
        u = jnp.einsum("BHNK,CHK->BHNC", query, key.astype(query.dtype)).reshape(batch, -1, channels)
        t, log_denominator = read.merge([read.read(u, segment) for segment in inputs])
        t = t.reshape(batch, self.num_heads, num_queries, channels)
        values = jnp.einsum("BHNC,CHK->BHNK", t, value.astype(t.dtype))
        values = values + (offset @ self.value.kernel[...] + self.value.bias[...]).reshape(by_head).astype(t.dtype)
        same_for_all = (offset @ self.key.kernel[...] + self.key.bias[...]).reshape(by_head)
        constant = jnp.sum(
            query * same_for_all, axis=-1, keepdims=True
        )  # of all logits: a softmax ignores it, its parts do not
        log_denominator = log_denominator.reshape(constant.shape[:-1]) + constant[..., 0]
        if not capture:
            return Part(values, log_denominator, None)
        shape = batch, self.num_heads, num_queries, -1
        return Part(values, log_denominator, [read.logits(u, segment).reshape(shape) + constant for segment in inputs])


class SelfAttend(nnx.Module):
    """Latents attend to each other, then pass an MLP: one layer of the latent Transformer."""

    def __init__(self, channels: int, num_heads: int, widening_factor: int, dtype: jnp.dtype | None, rngs: nnx.Rngs):
        self.num_heads = num_heads
        self.norm = LayerNorm(channels, dtype)
        self.query = Linear(channels, channels, dtype, rngs)
        self.key = Linear(channels, channels, dtype, rngs)
        self.value = Linear(channels, channels, dtype, rngs)
        self.output = Linear(channels, channels, dtype, rngs)
        self.mlp_norm = LayerNorm(channels, dtype)
        self.mlp = Mlp(channels, widening_factor, dtype, rngs)

    def __call__(self, latents: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The latents after one self-attend."""
        x = self.norm(latents)
        query, key, value = (split_heads(part(x), self.num_heads) for part in (self.query, self.key, self.value))
        latents = latents + self.output(merge_heads(attend(query, key, value)))
        return latents + self.mlp(self.mlp_norm(latents))
