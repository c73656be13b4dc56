"""The ResNet baseline (tables 1, 2, 4), whose batch norms are functions: statistics go in and come out.

Training gives no statistics: each batch is normalised by its own, over all its examples on all devices, and the output has
them. Their running mean, which `training.step` keeps, is what evaluation is normalised by. A micro-batch is a batch here:
its examples are normalised together, and the mean of all micro-batches' statistics is what joins the running mean.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.baselines import config as sizes
from perceiver_jax.baselines.grid import GridArray
from perceiver_jax.model.linear import Linear
from perceiver_jax.model.norm import EPSILON
from perceiver_jax.model.perceiver import Output, activation_dtype, as_logits


class Moments(NamedTuple):
    """What one batch norm subtracts and divides by."""

    mean: Float[Array, " C"]
    variance: Float[Array, " C"]


class BlockMoments(NamedTuple):
    """Those of one block."""

    reduce: Moments | None
    spatial: Moments | None
    expand: Moments | None
    shortcut: Moments | None  # None: the block has no convolution there


class Statistics(NamedTuple):
    """Those of the whole network."""

    stem: Moments
    blocks: tuple[BlockMoments, ...]


class BatchNorm(nnx.Module):
    """x^ g + b, x^ each channel with mean 0 and variance 1 over all examples and places of a batch."""

    def __init__(self, channels: int, dtype: jnp.dtype | None, zero: bool):
        self.scale = nnx.Param(jnp.zeros(channels) if zero else jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W C"], moments: Moments | None) -> tuple[Float[Array, "B H W C"], Moments]:
        """The normalised x and what it was normalised by: the moments given, or else x's own."""
        dtype = self.dtype or x.dtype
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if moments is None:
            mean = wide.mean(axis=(0, 1, 2))
            moments = Moments(mean, jnp.square(wide - mean).mean(axis=(0, 1, 2)))
        factor = jax.lax.rsqrt(moments.variance + EPSILON) * self.scale[...]
        return ((wide - moments.mean) * factor + self.bias[...]).astype(dtype), moments


class NormedConv(nnx.Module):
    """A convolution without bias over zeros beyond the edge, then batch norm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        stride: int,
        dtype: jnp.dtype | None,
        rngs: nnx.Rngs,
        zero: bool = False,
    ):
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), (size, size, in_channels, out_channels)))
        self.norm = BatchNorm(out_channels, dtype, zero)
        self.stride, self.dtype = stride, dtype

    def __call__(
        self, x: Float[Array, "B H W C"], moments: Moments | None, shared: Float[Array, "1 H W P"] | None = None
    ) -> tuple[Float[Array, "B h w c"], Moments]:
        """The normalised convolution; `shared` are further channels, alike for all examples."""
        dtype = self.dtype or x.dtype
        kernel = self.kernel[...].astype(dtype)
        y = self._convolved(x.astype(dtype), kernel[:, :, : x.shape[-1]])
        if shared is not None:
            y = y + self._convolved(shared.astype(dtype), kernel[:, :, x.shape[-1] :])
        return self.norm(y, moments)

    def _convolved(self, x: Float[Array, "b H W C"], kernel: Float[Array, "k k C c"]) -> Float[Array, "b h w c"]:
        edge = kernel.shape[0] // 2
        return jax.lax.conv_general_dilated(
            x, kernel, (self.stride, self.stride), [(edge, edge)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )


class Bottleneck(nnx.Module):
    """1 x 1, 3 x 3, 1 x 1, around them what came in; the stride is in the 3 x 3 (known as version 1.5).

    The last norm's scale starts at zero, so that a block starts as what goes around it.
    """

    def __init__(self, block: sizes.Bottleneck, dtype: jnp.dtype | None, rngs: nnx.Rngs):
        in_channels, channels, stride = block
        self.reduce = NormedConv(in_channels, channels, 1, 1, dtype, rngs)
        self.spatial = NormedConv(channels, channels, 3, stride, dtype, rngs)
        self.expand = NormedConv(channels, block.out_channels, 1, 1, dtype, rngs, zero=True)
        self.shortcut = NormedConv(in_channels, block.out_channels, 1, stride, dtype, rngs) if block.projects else None

    def __call__(
        self, x: Float[Array, "B H W C"], moments: BlockMoments | None
    ) -> tuple[Float[Array, "B h w c"], BlockMoments]:
        """The block's output and its norms' moments."""
        reduce, spatial, expand, shortcut = moments or BlockMoments(None, None, None, None)
        y, reduce = self.reduce(x, reduce)
        y, spatial = self.spatial(jax.nn.relu(y), spatial)
        y, expand = self.expand(jax.nn.relu(y), expand)
        if self.shortcut is not None:
            x, shortcut = self.shortcut(x, shortcut)
        return jax.nn.relu(x + y), BlockMoments(reduce, spatial, expand, shortcut)


class ResNet(nnx.Module):
    """A 7 x 7 convolution of the input array, a pool, stages of bottlenecks, the mean over places, one linear layer.

    Kernels start He-normal in what comes in, the classifier from zero.
    """

    def __init__(
        self,
        config: sizes.ResNetConfig,
        grid: Sequence[int],
        num_features: int,
        num_classes: int,
        rngs: nnx.Rngs,
        num_coordinates: int = 0,
    ):
        """The last `num_coordinates` of the features say where each input stands; 0: its place on the grid does."""
        if len(grid) != 2:
            raise ValueError(f"inputs on a grid of {tuple(grid)}: expected two axes")
        dtype = activation_dtype(config.compute_dtype)
        self.remat = config.remat
        self.inputs = GridArray(config, grid, num_features, rngs, num_coordinates)
        self.stem = NormedConv(self.inputs.channels, config.stem_channels, sizes.STEM_SIZE, 2, dtype, rngs)
        self.blocks = nnx.List([Bottleneck(block, dtype, rngs) for block in config.blocks])
        self.head = Linear(config.out_channels, num_classes, dtype, rngs, zero=True)

    def __call__(
        self, features: Float[Array, "B H W F"], capture: bool = False, statistics: Statistics | None = None
    ) -> Output:
        """Class logits, normalised by the statistics given or else by the batch's own.

        `capture` is for the attention of cross-attends: there are none.
        """
        features, positions = self.inputs(features)
        x, stem = self.stem(features, statistics and statistics.stem, positions)
        x = _pooled(jax.nn.relu(x))
        block = jax.checkpoint(Bottleneck.__call__) if self.remat == "block" else Bottleneck.__call__
        blocks = []
        for i, module in enumerate(self.blocks):
            x, moments = block(module, x, statistics and statistics.blocks[i])
            blocks.append(moments)
        logits = self.head(x.mean(axis=(1, 2)))
        return Output(as_logits(logits), [], Statistics(stem, tuple(blocks)))


def _pooled(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """The highest of 3 x 3 places around every second place."""
    return nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
