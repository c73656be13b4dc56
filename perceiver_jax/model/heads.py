"""What comes out of a model, and how a Perceiver's latents become it."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model.attention import CrossAttend
from perceiver_jax.model.config import PerceiverConfig
from perceiver_jax.model.layers import widened
from perceiver_jax.model.linear import Linear
from perceiver_jax.model.segment import Segment


@functools.partial(jax.tree_util.register_dataclass, data_fields=["logits", "attention_logits"], meta_fields=[])
@dataclasses.dataclass
class Output:
    """What a forward pass gives."""

    logits: Float[Array, "B Y"]
    # Of every cross-attend in order, by stream of inputs, before the softmax; empty unless captured.
    attention_logits: list[dict[str, Float[Array, "B H N _"]]]


class Head(nnx.Module):
    """Latents to class logits: their mean, or what one learned query reads from them; then one linear layer from zero."""

    def __init__(
        self,
        config: PerceiverConfig,
        cross_attend: Callable[[int, int, int], CrossAttend],
        num_outputs: int,
        rngs: nnx.Rngs,
    ):
        self.kind = config.head
        if self.kind == "query":  # Perceiver IO's classifier
            init = nnx.initializers.truncated_normal(config.latent_init_scale)
            self.query = nnx.Param(init(rngs.params(), (1, config.latent_channels)))
            self.cross_attend = cross_attend(config.latent_channels, 1, 1)  # one head, an MLP that does not widen
        self.logits = Linear(config.latent_channels, num_outputs, None, rngs, zero=True)

    def __call__(self, latents: Float[Array, "B N D"]) -> Float[Array, "B Y"]:
        """The logits, float32 or better."""
        if self.kind == "query":
            query = jnp.broadcast_to(self.query[...].astype(latents.dtype), (latents.shape[0], *self.query.shape))
            pooled = self.cross_attend(query, [Segment(latents)])[0][:, 0]
        else:
            pooled = latents.mean(axis=1)
        return self.logits(widened(pooled))
