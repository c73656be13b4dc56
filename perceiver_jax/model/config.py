"""The model's settings and the schedule they expand into. Nothing here needs JAX."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from perceiver_jax.section import Count, Positive, Section, Tiny


class FourierPositions(Section):
    """Fourier features of each input's position (section 3.2)."""

    kind: Literal["fourier"]
    num_bands: Annotated[Count, Tiny(4)]  # K, per axis
    max_resolution: Annotated[tuple[Positive, ...], Tiny(32)]  # mu per axis; the highest band is mu / 2


class LearnedPositions(Section):
    """One trained vector per input index (table 2)."""

    kind: Literal["learned"]
    channels: Annotated[Count, Tiny(8)]
    init_scale: Positive


class NoPositions(Section):
    """Inputs without position: the model then sees a set."""

    kind: Literal["none"]


Positions = Annotated[FourierPositions | LearnedPositions | NoPositions, Field(discriminator="kind")]


class Use(NamedTuple):
    """One place in the network: which kind of module stands there, and which of that kind's weights it uses."""

    kind: Literal["cross_attend", "self_attends"]
    weights: int


class PerceiverConfig(Section):
    """A Perceiver; the letters are those of the axes throughout: N latents of D channels."""

    kind: Literal["perceiver"]
    num_latents: Annotated[Count, Tiny(16)]  # N
    latent_channels: Annotated[Count, Tiny(32)]  # D
    latent_init_scale: Positive
    num_blocks: Annotated[int, Field(ge=0), Tiny(2)]  # latent Transformers; 0: cross-attends alone (table 5)
    num_cross_attends: Annotated[Count, Tiny(2)]
    num_self_attends_per_block: Annotated[Count, Tiny(2)]
    arrangement: Literal["interleaved", "at_start"]
    sharing: Literal["paper", "none", "all"]  # paper: all but the first cross-attend
    num_cross_attend_heads: Annotated[Count, Tiny(1)]  # tiny inputs may have too few channels for more
    num_self_attend_heads: Count
    widening_factor: Count  # of both kinds of MLP
    positions: Positions
    head: Literal["mean_linear", "query"]
    compute_dtype: Literal["float32", "bfloat16"]  # of activations; parameters and statistics stay float32
    remat: Literal["none", "block", "layer"]  # what the backward pass computes again instead of keeping

    @model_validator(mode="after")
    def _check(self) -> "PerceiverConfig":
        check_heads(latent_channels=self.latent_channels, num_self_attend_heads=self.num_self_attend_heads)
        if self.arrangement == "interleaved" and 0 < self.num_blocks < self.num_cross_attends:
            raise ValueError(
                f"model.num_cross_attends {self.num_cross_attends} > model.num_blocks {self.num_blocks}: interleaved, each"
                ' cross-attend opens a block; add blocks or set model.arrangement="at_start"'
            )
        return self

    @property
    def schedule(self) -> tuple[Use, ...]:
        """Every module in the order of the forward pass, with the weights it uses (section 3.1, tables 5 to 7).

        Interleaved, the first `num_cross_attends` blocks open with a cross-attend; at start, all of them come first.
        """
        cross = [Use("cross_attend", self._weights(i, first_apart=True)) for i in range(self.num_cross_attends)]
        blocks = [Use("self_attends", self._weights(i, first_apart=False)) for i in range(self.num_blocks)]
        if self.arrangement == "at_start" or not blocks:
            return (*cross, *blocks)
        return tuple(use for i, block in enumerate(blocks) for use in (*cross[i : i + 1], block))

    @property
    def runs(self) -> tuple[tuple[tuple[Use, ...], ...], ...]:
        """The schedule as blocks, those in a row together that use the same weights, or else the same kinds of module.

        A block is a cross-attend with the latent Transformer that follows it, or either alone.
        """
        blocks: list[tuple[Use, ...]] = []
        for use in self.schedule:
            follows = use.kind == "self_attends" and blocks and blocks[-1][-1].kind == "cross_attend"
            blocks = [*blocks[:-1], (*blocks[-1], use)] if follows else [*blocks, (use,)]
        same_weights = [tuple(run) for _, run in itertools.groupby(blocks)]

        def alike(run: tuple[tuple[Use, ...], ...]) -> tuple[bool, list[str]]:
            return len(run) > 1, [use.kind for use in run[0]]

        parts = itertools.groupby(same_weights, alike)
        return tuple(run for (repeats, _), own in parts for run in (own if repeats else [sum(own, ())]))

    def _weights(self, place: int, first_apart: bool) -> int:
        if self.sharing == "none":
            return place
        return min(place, 1) if self.sharing == "paper" and first_apart else 0

    def num_weights(self, kind: str) -> int:
        """How many sets of weights of one kind the schedule uses."""
        return len({use.weights for use in self.schedule if use.kind == kind})

    def paper_flops(self, grid: Sequence[int], input_channels: int, num_classes: int) -> int:
        """FLOPs of one example's forward pass: two per multiply-add of a matmul, three per attention logit (appendix B)."""
        n, d, w = self.num_latents, self.latent_channels, self.widening_factor

        def cross_attend(n: int, m: int, c: int, heads: int, w: int) -> int:
            projections = 4 * n * d * c + 4 * m * c * c
            return projections + 4 * n * m * c + 3 * heads * n * m + 4 * w * n * d * d

        self_attends = self_attend_flops(n, d, self.num_self_attend_heads, w)
        each = {
            "cross_attend": cross_attend(n, math.prod(grid), input_channels, self.num_cross_attend_heads, w),
            "self_attends": self.num_self_attends_per_block * self_attends,
        }
        head = 2 * d * num_classes + (cross_attend(1, n, d, 1, 1) if self.head == "query" else 0)
        return sum(each[use.kind] for use in self.schedule) + head


def check_heads(**sizes: int) -> None:
    """Raises ValueError where the second of two fields of a model, its heads, does not divide the first, its channels."""
    (name, channels), (heads_name, heads) = sizes.items()
    if channels % heads:
        near = " or ".join(str(n) for n in (channels // heads * heads, (channels // heads + 1) * heads) if n)
        raise ValueError(f"model.{name} {channels} not divisible by model.{heads_name} {heads}; try {near}")


def self_attend_flops(n: int, d: int, heads: int, w: int) -> int:
    """FLOPs of one self-attend with its MLP by the paper's rule: N tokens of D channels, MLP widened by w."""
    return (8 + 4 * w) * n * d * d + 4 * n * n * d + 3 * heads * n * n
