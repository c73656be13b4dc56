"""The layers that models share, and how layers of a kind are stacked."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model.linear import Linear

M = TypeVar("M", bound=nnx.Module)

# Its gradient computes it again from its input, which is kept anyway, rather than keep five arrays of that size.
gelu = jax.checkpoint(functools.partial(nnx.gelu, approximate=True), prevent_cse=False)


class Mlp(nnx.Module):
    """Linear, GELU (tanh form), linear."""

    def __init__(self, channels: int, widening_factor: int, dtype: jnp.dtype | None, rngs: nnx.Rngs):
        self.expand = Linear(channels, widening_factor * channels, dtype, rngs)
        self.contract = Linear(widening_factor * channels, channels, dtype, rngs)

    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The MLP of each latent by itself."""
        return self.contract(gelu(self.expand(x)))


def activation_dtype(compute_dtype: str) -> jnp.dtype | None:
    """The type that layers compute in; None: that of their parameters and inputs, float32, or float64 in tests."""
    return None if compute_dtype == "float32" else jnp.dtype(compute_dtype)


def widened(x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """The array in float32 or better, from which logits are computed: in half precision many would be equal."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def stacked(num_layers: int, make: Callable[[nnx.Rngs], M], rngs: nnx.Rngs) -> M:
    """Layers of a kind in one module, the parameters of each along a new first axis."""
    return nnx.split_rngs(splits=num_layers)(nnx.vmap(make))(rngs)


def in_turn(
    latents: Float[Array, "B N D"],
    layers: nnx.Module,
    around: Callable[[Callable], Callable] = lambda layer: layer,
    written_out: bool = False,
) -> Float[Array, "B N D"]:
    """The latents after one layer after the other, `stacked` in one module, with `around` put around each."""
    layer = around(lambda latents, layer: (layer(latents), None))
    return jax.lax.scan(layer, latents, layers, unroll=written_out)[0]
