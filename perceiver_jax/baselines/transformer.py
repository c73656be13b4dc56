"""The Transformer baseline (tables 1, 2, 4): the latents' own layers, applied to every input."""

import functools
from collections.abc import Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.baselines.config import LayersConfig, TransformerConfig
from perceiver_jax.baselines.grid import Embed, GridArray
from perceiver_jax.model.linear import Linear
from perceiver_jax.model.perceiver import Output, activation_dtype, as_logits, in_turn, self_attends


class Layers(nnx.Module):
    """Self-attends one after the other, each with weights of its own, stacked."""

    def __init__(self, config: LayersConfig, rngs: nnx.Rngs):
        self.remat = config.remat
        sizes = config.num_layers, config.channels, config.num_heads, config.widening_factor
        self.self_attends = self_attends(*sizes, activation_dtype(config.compute_dtype), rngs)

    def __call__(self, tokens: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The tokens after all layers."""
        through = functools.partial(in_turn, around=jax.checkpoint) if self.remat == "layer" else in_turn
        return through(tokens, self.self_attends)


class Transformer(nnx.Module):
    """Self-attends over all M inputs, their mean, one linear layer: a Perceiver whose latents are the inputs.

    The cost is O(M²): the paper's pictures are 64 x 64, made by the data pipeline. Like the Perceiver's, the layers have no
    norm after them, and the classifier starts from zero.
    """

    def __init__(
        self,
        config: TransformerConfig,
        grid: Sequence[int],
        num_features: int,
        num_classes: int,
        rngs: nnx.Rngs,
        num_coordinates: int = 0,
    ):
        """The last `num_coordinates` of the features say where each input stands; 0: its place on the grid does."""
        dtype = activation_dtype(config.compute_dtype)
        self.inputs = GridArray(config, grid, num_features, rngs, num_coordinates)
        self.embed = Embed(self.inputs, 1, config.channels, dtype, rngs)
        self.layers = Layers(config, rngs)
        self.head = Linear(config.channels, num_classes, dtype, rngs, zero=True)

    def __call__(self, features: Float[Array, "B *grid F"], capture: bool = False) -> Output:
        """Class logits. `capture` is for the attention of cross-attends: there are none."""
        tokens = self.layers(self.embed(self.inputs(features)))
        return Output(as_logits(self.head(tokens.mean(axis=1))), [])
