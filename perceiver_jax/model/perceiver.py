"""The Perceiver: a schedule of cross-attends and latent Transformers, then a head (section 3, figure 1)."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model import repeat
from perceiver_jax.model.attention import CrossAttend, SelfAttend
from perceiver_jax.model.config import InputSpec, PerceiverConfig
from perceiver_jax.model.heads import Head, Output
from perceiver_jax.model.inputs import InputArrays, Masks, Streams
from perceiver_jax.model.layers import activation_dtype, in_turn, stacked
from perceiver_jax.model.schedule import num_weights
from perceiver_jax.model.segment import Segment
from perceiver_jax.system.parts import part


class Perceiver(nnx.Module):
    """Latents that read a long input array repeatedly, with self-attention in between.

    Gradients of any order, jit, vmap and export pass it. Forward-mode differentiation (jax.jvp, jax.jacfwd, jax.linearize)
    does not: linear layers, norms, attention, loops of blocks and the core of cross-attends have reverse rules of their own.
    """

    def __init__(self, config: PerceiverConfig, inputs: Sequence[InputSpec], num_outputs: int, rngs: nnx.Rngs):
        """Raises ValueError for inputs that the config does not fit."""
        config.check_inputs(inputs, num_sharing=1)
        self.config = config
        dtype = activation_dtype(config.compute_dtype)
        shape = (config.num_latents, config.latent_channels)
        self.latents = nnx.Param(nnx.initializers.truncated_normal(config.latent_init_scale)(rngs.params(), shape))
        self.inputs = InputArrays(config, inputs, rngs)

        def cross_attend(input_channels: int, num_heads: int, widening_factor: int) -> CrossAttend:
            return CrossAttend(config.latent_channels, input_channels, num_heads, widening_factor, dtype, rngs)

        def self_attend(rngs: nnx.Rngs) -> SelfAttend:
            sizes = config.latent_channels, config.num_self_attend_heads, config.widening_factor
            return SelfAttend(*sizes, dtype, rngs)

        count = lambda kind: range(num_weights(config.schedule, kind))  # noqa: E731
        sizes = self.inputs.channels, config.num_cross_attend_heads, config.widening_factor
        self.cross_attends = nnx.List([cross_attend(*sizes) for _ in count("cross_attend")])
        layers = config.num_self_attends_per_block
        self.self_attends = nnx.List([stacked(layers, self_attend, rngs) for _ in count("self_attends")])
        self.head = Head(config, cross_attend, num_outputs, rngs)

    def __call__(self, inputs: Streams, masks: Masks | None = None, capture: bool = False) -> Output:
        """Class logits, and with `capture` the attention logits of every cross-attend by stream.

        `inputs` are an array, or arrays by name where there are several streams: B examples, a grid, channels. Inputs whose
        mask, (B, M) by stream, is False are not seen; an example that has none to see reads zeros.
        """
        segments = self.inputs(inputs, masks)
        latents, attention_logits = (self._captured if capture else self._encoded)(segments)
        with part("head"):
            return Output(self.head(latents), attention_logits)

    def encode(self, inputs: Streams, masks: Masks | None = None) -> Float[Array, "B N D"]:
        """The latents as the head gets them."""
        return self._encoded(self.inputs(inputs, masks))[0]

    def _start(self, segments: list[Segment]) -> Float[Array, "B N D"]:
        """The same latents for each example."""
        features = [segment.features for segment in segments]
        with part("latents"):
            latents = self.latents[...].astype(jnp.result_type(*features))
            return jnp.broadcast_to(latents, (features[0].shape[0], *latents.shape))

    def _captured(self, segments: list[Segment]) -> tuple[Float[Array, "B N D"], list[dict[str, Array]]]:
        """The paper's forward pass, module by module: the latents, and the attention logits of each cross-attend."""
        latents, attention_logits = self._start(segments), []
        for use in self.config.schedule:
            if use.kind == "cross_attend":
                latents, logits = self.cross_attends[use.weights](latents, segments, capture=True)
                attention_logits.append(dict(zip(self.inputs.names, logits, strict=True)))
            else:
                latents = in_turn(latents, self.self_attends[use.weights])
        return latents, attention_logits

    def _encoded(self, segments: list[Segment]) -> tuple[Float[Array, "B N D"], list[dict[str, Array]]]:
        """The same without capture, compiled and differentiated at less cost."""
        modules = self.cross_attends, self.self_attends
        return repeat.through(self.config.schedule, modules, self.config.remat, self._start(segments), segments), []
