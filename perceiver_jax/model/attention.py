"""The two kinds of module a Perceiver is made of (section 3.1, appendix C).

Axes: B examples, M inputs of C channels, N latents of D channels, H heads, K channels a head, S a sequence.
Pre-LayerNorm (eps 1e-5) before every attention and every MLP, residuals around both, biases everywhere, no dropout.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

LAYER_NORM_EPS = 1e-5  # the authors' library's; Flax's own default differs


def linear(fan_in: int, fan_out: int, dtype: jnp.dtype | None, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer: LeCun-normal weights, zero bias."""
    return nnx.Linear(fan_in, fan_out, dtype=dtype, rngs=rngs)


def layer_norm(channels: int, dtype: jnp.dtype | None, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A layer norm with scale and bias; its statistics are float32 or better."""
    return nnx.LayerNorm(channels, epsilon=LAYER_NORM_EPS, dtype=dtype, rngs=rngs)


def split_heads(x: Float[Array, "B S HK"], num_heads: int) -> Float[Array, "B H S K"]:
    """The same channels, by head, heads before the sequence: the layout that batched matmuls read in order."""
    return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)


def merge_heads(x: Float[Array, "B H S K"]) -> Float[Array, "B S HK"]:
    """The inverse of `split_heads`."""
    x = x.swapaxes(1, 2)
    return x.reshape(*x.shape[:2], -1)


def attend(
    query: Float[Array, "B H N K"],
    key: Float[Array, "B H S K"],
    value: Float[Array, "B H S K"],
    mask: Bool[Array, "B S"] | None = None,
) -> tuple[Float[Array, "B H N K"], Float[Array, "B H N S"]]:
    """softmax(Q K^T / sqrt(K)) V, and the logits Q K^T / sqrt(K).

    Where `mask` is False the weight is exactly 0. Logits and their softmax are float32 or better.
    """
    query = query * query.shape[-1] ** -0.5
    statistics = jnp.promote_types(query.dtype, jnp.float32)
    logits = jnp.einsum("BHNK,BHSK->BHNS", query, key, preferred_element_type=statistics)
    if mask is not None:
        logits = jnp.where(mask[:, None, None], logits, jnp.finfo(logits.dtype).min)
    weights = jax.nn.softmax(logits).astype(value.dtype)
    return jnp.einsum("BHNS,BHSK->BHNK", weights, value), logits


class Mlp(nnx.Module):
    """Linear, GELU (tanh form), linear."""

    def __init__(self, channels: int, widening_factor: int, dtype: jnp.dtype | None, rngs: nnx.Rngs):
        self.expand = linear(channels, widening_factor * channels, dtype, rngs)
        self.contract = linear(widening_factor * channels, channels, dtype, rngs)

    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The MLP of each latent by itself."""
        return self.contract(nnx.gelu(self.expand(x), approximate=True))


class CrossAttend(nnx.Module):
    """Latents look at the inputs, then pass an MLP. Query, key and value are as wide as the inputs (appendix C)."""

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
        self.query_norm = layer_norm(latent_channels, dtype, rngs)
        self.input_norm = layer_norm(input_channels, dtype, rngs)
        self.query = linear(latent_channels, input_channels, dtype, rngs)
        self.key = linear(input_channels, input_channels, dtype, rngs)
        self.value = linear(input_channels, input_channels, dtype, rngs)
        self.output = linear(input_channels, latent_channels, dtype, rngs)
        self.mlp_norm = layer_norm(latent_channels, dtype, rngs)
        self.mlp = Mlp(latent_channels, widening_factor, dtype, rngs)

    def __call__(
        self, latents: Float[Array, "B N D"], inputs: Float[Array, "B M C"], mask: Bool[Array, "B M"] | None = None
    ) -> tuple[Float[Array, "B N D"], Float[Array, "B H N M"]]:
        """The latents after one cross-attend, and its attention logits."""
        values, logits = self.read(self.query(self.query_norm(latents)), inputs, mask)
        latents = latents + self.output(values)
        return latents + self.mlp(self.mlp_norm(latents)), logits

    def read(
        self, query: Float[Array, "B N C"], inputs: Float[Array, "B M C"], mask: Bool[Array, "B M"] | None
    ) -> tuple[Float[Array, "B N C"], Float[Array, "B H N M"]]:
        """All that touches the M inputs: what each query reads from them, and the attention logits."""
        inputs = self.input_norm(inputs)
        query, key, value = (split_heads(x, self.num_heads) for x in (query, self.key(inputs), self.value(inputs)))
        values, logits = attend(query, key, value, mask)
        return merge_heads(values), logits


class SelfAttend(nnx.Module):
    """Latents look at each other, then pass an MLP: one layer of the latent Transformer."""

    def __init__(self, channels: int, num_heads: int, widening_factor: int, dtype: jnp.dtype | None, rngs: nnx.Rngs):
        self.num_heads = num_heads
        self.norm = layer_norm(channels, dtype, rngs)
        self.query = linear(channels, channels, dtype, rngs)
        self.key = linear(channels, channels, dtype, rngs)
        self.value = linear(channels, channels, dtype, rngs)
        self.output = linear(channels, channels, dtype, rngs)
        self.mlp_norm = layer_norm(channels, dtype, rngs)
        self.mlp = Mlp(channels, widening_factor, dtype, rngs)

    def __call__(self, latents: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The latents after one self-attend."""
        x = self.norm(latents)
        query, key, value = (split_heads(part(x), self.num_heads) for part in (self.query, self.key, self.value))
        latents = latents + self.output(merge_heads(attend(query, key, value)[0]))
        return latents + self.mlp(self.mlp_norm(latents))
