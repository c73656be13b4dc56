"""The Transformer baseline (tables 1, 2, 4): the latents' own layers, applied to every input."""

import functools
from collections.abc import Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.baselines.config import LayersConfig, TransformerConfig
from perceiver_jax.baselines.grid import Embed, GridArray
from perceiver_jax.model.attention import SelfAttend
from perceiver_jax.model.config import InputSpec
from perceiver_jax.model.heads import Output
from perceiver_jax.model.inputs import Streams
from perceiver_jax.model.layers import activation_dtype, in_turn, stacked, widened
from perceiver_jax.model.linear import Linear
from perceiver_jax.system.parts import part


class Layers(nnx.Module):
    """Self-attends one after the other, each with weights of its own, stacked."""

    def __init__(self, config: LayersConfig, rngs: nnx.Rngs):
        self.remat = config.remat
        sizes = config.channels, config.num_heads, config.widening_factor, activation_dtype(config.compute_dtype)
        self.self_attends = stacked(config.num_layers, lambda rngs: SelfAttend(*sizes, rngs), rngs)

    def __call__(self, tokens: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The tokens after all layers."""
        through = functools.partial(in_turn, around=jax.checkpoint) if self.remat == "layer" else in_turn
        with part("self_attends"):
            return through(tokens, self.self_attends)


class Transformer(nnx.Module):
    """Self-attends over all M inputs, their mean, one linear layer: a Perceiver whose latents are the inputs.

    The cost is O(M²): the paper's pictures are 64 x 64, made by the data pipeline. Like the Perceiver's, the layers have no
    norm after them, and the classifier starts from zero.
    """

    def __init__(
        self,
        config: TransformerConfig,
        inputs: Sequence[InputSpec],
        num_outputs: int,
        rngs: nnx.Rngs,
    ):
        dtype = activation_dtype(config.compute_dtype)
        self.inputs = GridArray(config, inputs, rngs)
        self.embed = Embed(self.inputs, 1, config.channels, dtype, rngs)
        self.layers = Layers(config, rngs)
        self.head = Linear(config.channels, num_outputs, None, rngs, zero=True)

    def __call__(self, inputs: Streams, masks: Streams | None = None, capture: bool = False) -> Output:
        """Class logits. `capture` is for the attention of cross-attends: there are none."""
        tokens = self.layers(self.embed(self.inputs(inputs, masks)))
        with part("head"):
            return Output(self.head(widened(tokens.mean(axis=1))), [])
