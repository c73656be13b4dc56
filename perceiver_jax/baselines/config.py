"""The baselines' settings, and their FLOPs by the paper's rule. Nothing here needs JAX.

The paper gives no settings but the names and the size of the pictures: what is free is a field.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from perceiver_jax.model.config import InputSpec, ModelConfig, check_heads, self_attend_flops
from perceiver_jax.section import Count, Fraction, Tiny


class BaselineConfig(ModelConfig):
    """What every baseline has: a single input array, the Perceiver's, perhaps in another order."""

    permutation_seed: Annotated[int, Field(ge=0)] | None  # table 2: inputs shuffled, positions attached; None: in order

    def check_inputs(self, inputs: Sequence[InputSpec], num_sharing: int) -> None:
        """Raises ValueError for several streams, inputs that may be missing, or devices that share an example's."""
        super().check_inputs(inputs, num_sharing)
        if len(inputs) > 1:
            names = ", ".join(spec.name for spec in inputs)
            raise ValueError(f"model.kind {self.kind}: expected one stream of inputs, the data have {names}")
        if inputs[0].masked:
            raise ValueError(f"model.kind {self.kind}: {inputs[0].name}'s inputs may be missing; only perceiver leaves out")
        if num_sharing > 1:
            raise ValueError(f"mesh.inputs {num_sharing}: only with model.kind perceiver do devices share inputs; try 1")


class LayersConfig(BaselineConfig):
    """A Transformer over tokens of D channels, of the same layers as the Perceiver's latents have."""

    channels: Annotated[Count, Tiny(32)]  # D
    num_layers: Annotated[Count, Tiny(2)]
    num_heads: Annotated[Count, Tiny(1)]  # so that they divide a tiny D
    widening_factor: Count  # of the MLP
    remat: Literal["none", "layer"]  # what the backward pass recomputes instead of keeping

    @model_validator(mode="after")
    def _check(self) -> "LayersConfig":
        check_heads(channels=self.channels, num_heads=self.num_heads)
        return self

    def _flops(self, num_tokens: int, token_inputs: int, extra_tokens: int, num_outputs: int) -> int:
        """Of one example: a linear map to tokens, the layers over them and some more, the classifier."""
        n, d = num_tokens + extra_tokens, self.channels
        layer = self_attend_flops(n, d, self.num_heads, self.widening_factor)
        return 2 * num_tokens * token_inputs * d + self.num_layers * layer + 2 * d * num_outputs


class TransformerConfig(LayersConfig):
    """A Transformer over all inputs at once; the paper's pictures are 64 x 64, so the data's `image_size` is 64."""

    model_class: ClassVar[str] = "perceiver_jax.baselines.transformer:Transformer"

    kind: Literal["transformer"]

    def paper_flops(self, inputs: Sequence[InputSpec], num_outputs: int) -> int:
        """FLOPs of one example's forward pass: two per multiply-add of a matmul, three per attention logit."""
        return self._flops(inputs[0].num_inputs, self.input_channels(inputs), 0, num_outputs)


class VitConfig(LayersConfig):
    """A Vision Transformer; ViT-B/16 is 12 layers of 768 channels and 12 heads, MLP widened by 4, patches of 16."""

    model_class: ClassVar[str] = "perceiver_jax.baselines.vit:Vit"

    kind: Literal["vit"]
    patch_size: Count  # P: a token is P inputs along every axis of the grid
    position_embedding: bool  # one trained vector a token beside the inputs' positions: ViT has it, the paper is silent

    def paper_flops(self, inputs: Sequence[InputSpec], num_outputs: int) -> int:
        """FLOPs of one example's forward pass: two per multiply-add of a matmul, three per attention logit."""
        grid = inputs[0].grid
        token_inputs = self.patch_size ** len(grid) * self.input_channels(inputs)
        return self._flops(num_patches(grid, self.patch_size), token_inputs, 1, num_outputs)


class Bottleneck(NamedTuple):
    """One residual block: 1 x 1 to `channels`, 3 x 3 with `stride`, 1 x 1 to `EXPANSION` times as many."""

    in_channels: int
    channels: int
    stride: int

    @property
    def out_channels(self) -> int:
        """The channels after the block."""
        return EXPANSION * self.channels

    @property
    def projects(self) -> bool:
        """Whether what goes around the block needs a 1 x 1 of its own to fit what comes out of it."""
        return (self.in_channels, 1) != (self.out_channels, self.stride)


EXPANSION = 4
STEM_SIZE = 7  # pixels a side of the first convolution's kernel


class ResNetConfig(BaselineConfig):
    """A residual network of bottlenecks; ResNet-50 is stages of (3, 4, 6, 3) blocks over a stem of 64 channels."""

    model_class: ClassVar[str] = "perceiver_jax.baselines.resnet:ResNet"

    kind: Literal["resnet"]
    # Each stage but the first doubles the channels and halves the sides.
    stage_blocks: Annotated[tuple[Count, ...], Field(min_length=1), Tiny(1)]
    stem_channels: Annotated[Count, Tiny(8)]
    statistics_decay: Fraction  # of the running mean of batch norms' statistics, by update
    remat: Literal["none", "block"]  # what the backward pass recomputes instead of keeping

    def check_inputs(self, inputs: Sequence[InputSpec], num_sharing: int) -> None:
        """Raises ValueError for inputs that are not a picture."""
        super().check_inputs(inputs, num_sharing)
        name, grid, *_ = inputs[0]
        if len(grid) != 2:
            raise ValueError(f"model.kind resnet: expected inputs on 2 axes, {name} has {'x'.join(map(str, grid))}")

    @property
    def untrained_decay(self) -> float:
        """That of the batch norms' moments."""
        return self.statistics_decay

    @property
    def blocks(self) -> Iterator[Bottleneck]:
        """Every block in the order of the forward pass."""
        in_channels = self.stem_channels
        for stage, count in enumerate(self.stage_blocks):
            for i in range(count):
                block = Bottleneck(in_channels, self.stem_channels * 2**stage, 2 if stage and not i else 1)
                yield block
                in_channels = block.out_channels

    @property
    def out_channels(self) -> int:
        """The channels of the last block."""
        return EXPANSION * self.stem_channels * 2 ** (len(self.stage_blocks) - 1)

    def paper_flops(self, inputs: Sequence[InputSpec], num_outputs: int) -> int:
        """FLOPs of one example's forward pass: two per multiply-add of a convolution or matmul."""
        grid = halved(inputs[0].grid)
        total = STEM_SIZE**2 * self.input_channels(inputs) * self.stem_channels * math.prod(grid)
        grid = halved(grid)  # by the pool
        for block in self.blocks:
            before, grid = math.prod(grid), halved(grid) if block.stride == 2 else grid
            shortcut = block.in_channels * block.out_channels if block.projects else 0
            total += block.in_channels * block.channels * before
            total += (9 * block.channels**2 + block.channels * block.out_channels + shortcut) * math.prod(grid)
        return 2 * (total + self.out_channels * num_outputs)


Baseline = TransformerConfig | VitConfig | ResNetConfig


def num_patches(grid: Sequence[int], size: int) -> int:
    """The patches of `size` inputs along every axis that cover a grid; those at its ends may extend beyond it."""
    return math.prod(-(-length // size) for length in grid)


def halved(grid: Sequence[int]) -> tuple[int, ...]:
    """The grid after a stride of 2."""
    return tuple(-(-length // 2) for length in grid)
