"""The Vision Transformer baseline (tables 1, 2, 4): a Transformer over patches of the input array."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx

from perceiver_jax.baselines.config import VitConfig
from perceiver_jax.baselines.grid import Embed, GridArray
from perceiver_jax.baselines.transformer import Layers
from perceiver_jax.model.config import InputSpec
from perceiver_jax.model.heads import Output
from perceiver_jax.model.inputs import Streams
from perceiver_jax.model.layers import activation_dtype, widened
from perceiver_jax.model.linear import Linear
from perceiver_jax.model.norm import LayerNorm
from perceiver_jax.system.parts import part

EMBEDDING_SCALE = 0.02  # of ViT's position embeddings before training


class Vit(nnx.Module):
    """Patches, a class token before them, a vector added to each by its position, layers, norm, one linear layer.

    The layers are the Perceiver's own: the tanh form of GELU, norms with an epsilon of 1e-5, no dropout.
    """

    def __init__(
        self,
        config: VitConfig,
        inputs: Sequence[InputSpec],
        num_outputs: int,
        rngs: nnx.Rngs,
    ):
        dtype = activation_dtype(config.compute_dtype)
        self.inputs = GridArray(config, inputs, rngs)
        self.embed = Embed(self.inputs, config.patch_size, config.channels, dtype, rngs)
        self.class_token = nnx.Param(jnp.zeros(config.channels))
        init, shape = nnx.initializers.truncated_normal(EMBEDDING_SCALE), (1 + self.embed.num_tokens, config.channels)
        self.position_embedding = nnx.Param(init(rngs.params(), shape)) if config.position_embedding else None
        self.layers = Layers(config, rngs)
        self.norm = LayerNorm(config.channels, dtype)
        self.head = Linear(config.channels, num_outputs, None, rngs, zero=True)

    def __call__(self, inputs: Streams, masks: Streams | None = None, capture: bool = False) -> Output:
        """Class logits. `capture` is for the attention of cross-attends: there are none."""
        tokens = self.embed(self.inputs(inputs, masks))
        first = jnp.broadcast_to(self.class_token[...].astype(tokens.dtype), (tokens.shape[0], 1, tokens.shape[2]))
        tokens = jnp.concatenate([first, tokens], axis=1)
        if self.position_embedding is not None:
            tokens = tokens + self.position_embedding[...].astype(tokens.dtype)
        tokens = self.layers(tokens)
        with part("head"):
            return Output(self.head(widened(self.norm(tokens[:, 0]))), [])
