"""The Perceiver: a schedule of cross-attends and latent Transformers, then a head (section 3, figure 1)."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from perceiver_jax.model.attention import CrossAttend, SelfAttend
from perceiver_jax.model.config import PerceiverConfig, Use
from perceiver_jax.model.inputs import InputArray
from perceiver_jax.model.linear import Linear
from perceiver_jax.model.segment import Segment

# Up to how many blocks of one kind are written out one after the other instead of in a loop, which compiles them once.
FEW_BLOCKS = 2  # anyway: a loop would save little
WRITTEN_OUT = 8  # for a gradient: a loop would copy all that is kept for it, a fifth of the time of ImageNet's step


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["logits", "attention_logits", "statistics"], meta_fields=[]
)
@dataclasses.dataclass
class Output:
    """What a forward pass gives."""

    logits: Float[Array, "B Y"]
    attention_logits: list[
        Float[Array, "B H N M"]
    ]  # of every cross-attend in order, before the softmax; empty unless captured
    statistics: Any = None  # what batch norms normalised by; None: the model has none


Run = tuple[tuple[Use, ...], ...]  # blocks of the same kinds of module
Modules = tuple[Sequence[CrossAttend], Sequence[SelfAttend]]  # each with weights of its own


class Perceiver(nnx.Module):
    """Latents that read a long input array again and again, and think in between."""

    def __init__(
        self,
        config: PerceiverConfig,
        grid: Sequence[int],
        num_features: int,
        num_classes: int,
        rngs: nnx.Rngs,
        num_coordinates: int = 0,
    ):
        """The last `num_coordinates` of the features say where each input stands; 0: its place on the grid does."""
        self.config = config
        dtype = activation_dtype(config.compute_dtype)
        shape = (config.num_latents, config.latent_channels)
        self.latents = nnx.Param(nnx.initializers.truncated_normal(config.latent_init_scale)(rngs.params(), shape))
        self.inputs = InputArray(config.positions, grid, num_features, rngs, num_coordinates)

        def cross_attend(input_channels: int, num_heads: int, widening_factor: int) -> CrossAttend:
            return CrossAttend(config.latent_channels, input_channels, num_heads, widening_factor, dtype, rngs)

        sizes = config.latent_channels, config.num_self_attend_heads, config.widening_factor
        layers = functools.partial(self_attends, config.num_self_attends_per_block, *sizes, dtype, rngs)
        self.cross_attends = nnx.List(
            [
                cross_attend(self.inputs.channels, config.num_cross_attend_heads, config.widening_factor)
                for _ in range(config.num_weights("cross_attend"))
            ]
        )
        self.self_attends = nnx.List([layers() for _ in range(config.num_weights("self_attends"))])
        self.head = Head(config, cross_attend, num_classes, dtype, rngs)

    def __call__(
        self, features: Float[Array, "B *grid F"], mask: Bool[Array, "B M"] | None = None, capture: bool = False
    ) -> Output:
        """Class logits, and with `capture` the attention logits of every cross-attend.

        Inputs where `mask` is False are not seen; an example needs at least one that is.
        """
        inputs = [self.inputs(features, mask)]
        latents = jnp.broadcast_to(self.latents[...].astype(features.dtype), (features.shape[0], *self.latents.shape))
        attention_logits = []
        for run in self.config.runs:
            if capture:
                for block in run:
                    modules = [_module((self.cross_attends, self.self_attends), use) for use in block]
                    latents, logits = self._block(modules, latents, inputs, capture=True)
                    attention_logits += logits
            else:
                latents = self._loop(run, latents, inputs)
        return Output(self.head(latents), attention_logits)

    def _loop(self, run: Run, latents: Float[Array, "B N D"], inputs: list[Segment]) -> Float[Array, "B N D"]:
        """The latents after blocks of the same kinds of module.

        A loop: compiled once, and what a block computes again stays in its own turn of the backward loop. It hands the
        modules that differ from turn to turn stacked to its body, which costs a copy of them.
        """
        modules = (list(self.cross_attends), list(self.self_attends))
        keeps = self.config.remat == "none"  # else what is computed again must stay in a loop's turn
        if keeps and len(run) <= FEW_BLOCKS:
            return self._written_out(run, latents, modules, inputs)
        looped = functools.partial(self._looped, run)
        if keeps and len(run) <= WRITTEN_OUT:
            written_out = functools.partial(self._written_out, run)
            return _for_gradient(written_out, looped)(latents, modules, inputs)
        return looped(latents, modules, inputs)

    def _written_out(self, run: Run, latents: Float[Array, "B N D"], modules: Modules, inputs: list[Segment]) -> Array:
        for block in run:
            latents = self._block([_module(modules, use) for use in block], latents, inputs)[0]
        return latents

    def _looped(self, run: Run, latents: Float[Array, "B N D"], modules: Modules, inputs: list[Segment]) -> Array:
        places = list(zip(*([_module(modules, use) for use in block] for block in run), strict=True))
        shared = [place[0] if all(module is place[0] for module in place) else None for place in places]
        own = [None if one else _stacked(place) for one, place in zip(shared, places, strict=True)]
        block = self._remat("block")(lambda latents, modules: self._block(modules, latents, inputs)[0])
        turn = lambda latents, own: (block(latents, [a or b for a, b in zip(shared, own, strict=True)]), None)  # noqa: E731
        return jax.lax.scan(turn, latents, own, length=len(run))[0]

    def _block(
        self,
        modules: list[CrossAttend | SelfAttend],
        latents: Float[Array, "B N D"],
        inputs: list[Segment],
        capture: bool = False,
    ) -> tuple[Float[Array, "B N D"], list[Float[Array, "B H N M"]]]:
        """The latents after one block, and what it captured."""
        captured = []
        for module in modules:
            if isinstance(module, CrossAttend):
                cross_attend = self._remat("layer")(functools.partial(CrossAttend.__call__, capture=capture))
                latents, logits = cross_attend(module, latents, inputs)
                captured += [logits] if capture else []
            else:  # a latent Transformer: its layers, stacked, in turn
                through = functools.partial(in_turn, around=jax.checkpoint) if self.config.remat == "layer" else _layers
                latents = through(latents, module)
        return latents, captured

    def _remat(self, *choices: str) -> Callable[[Callable], Callable]:
        return jax.checkpoint if self.config.remat in choices else lambda function: function


def _module(modules: Modules, use: Use) -> CrossAttend | SelfAttend:
    return modules[use.kind == "self_attends"][use.weights]


def _for_gradient(written_out: Callable[..., Array], looped: Callable[..., Array]) -> Callable[..., Array]:
    """The function in a loop where no gradient is asked for, else written out: both compute the same."""

    def function(*primals: Any) -> Array:
        leaves, tree = jax.tree.flatten(primals)  # JAX puts other things than arrays into the trees of such a rule
        on_leaves = lambda form: lambda leaves: form(*jax.tree.unflatten(tree, leaves))  # noqa: E731
        rule = jax.custom_vjp(on_leaves(looped))
        rule.defvjp(lambda leaves: jax.vjp(on_leaves(written_out), leaves), lambda pull, cotangent: pull(cotangent))
        return rule(leaves)

    return function


def activation_dtype(compute_dtype: str) -> jnp.dtype | None:
    """The type that layers compute in; None: that of their parameters and inputs, float32, or float64 in tests."""
    return None if compute_dtype == "float32" else jnp.dtype(compute_dtype)


def as_logits(x: Float[Array, "B Y"]) -> Float[Array, "B Y"]:
    """Logits in float32 or better."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def self_attends(
    num_layers: int, channels: int, num_heads: int, widening_factor: int, dtype: jnp.dtype | None, rngs: nnx.Rngs
) -> SelfAttend:
    """The layers of a Transformer, stacked in one module."""

    @nnx.split_rngs(splits=num_layers)
    @nnx.vmap
    def layer(rngs: nnx.Rngs) -> SelfAttend:
        return SelfAttend(channels, num_heads, widening_factor, dtype, rngs)

    return layer(rngs)


def in_turn(
    latents: Float[Array, "B N D"],
    layers: SelfAttend,
    around: Callable[[Callable], Callable] = lambda layer: layer,
    written_out: bool = False,
) -> Float[Array, "B N D"]:
    """The latents after one layer after the other, stacked in one module, with `around` put around each."""
    layer = around(lambda latents, layer: (layer(latents), None))
    return jax.lax.scan(layer, latents, layers, unroll=written_out)[0]


# A latent Transformer: a loop has each layer's weights at hand when they are used, but going back it would copy out, and in
# again, all that is kept for the gradient.
_layers = _for_gradient(functools.partial(in_turn, written_out=True), in_turn)


def _stacked(modules: Sequence[nnx.Module]) -> nnx.Module:
    """One module, its parameters those of all along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *modules)


class Head(nnx.Module):
    """Latents to class logits: their mean, or what one learned query reads from them; then one linear layer from zero."""

    def __init__(
        self,
        config: PerceiverConfig,
        cross_attend: Callable[[int, int, int], CrossAttend],
        num_classes: int,
        dtype: jnp.dtype | None,
        rngs: nnx.Rngs,
    ):
        self.kind = config.head
        if self.kind == "query":  # Perceiver IO's classifier
            init = nnx.initializers.truncated_normal(config.latent_init_scale)
            self.query = nnx.Param(init(rngs.params(), (1, config.latent_channels)))
            self.cross_attend = cross_attend(config.latent_channels, 1, 1)  # one head, an MLP that does not widen
        self.logits = Linear(config.latent_channels, num_classes, dtype, rngs, zero=True)

    def __call__(self, latents: Float[Array, "B N D"]) -> Float[Array, "B Y"]:
        """The logits, float32 or better."""
        if self.kind == "query":
            query = jnp.broadcast_to(self.query[...].astype(latents.dtype), (latents.shape[0], *self.query.shape))
            pooled = self.cross_attend(query, [Segment(latents)])[0][:, 0]
        else:
            pooled = latents.mean(axis=1)
        return as_logits(self.logits(pooled))
