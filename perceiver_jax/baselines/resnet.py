"""The ResNet baseline (tables 1, 2, 4).

In training each batch is normalised by its own moments, over all its examples on all devices, and leaves them in the model's
`nnx.BatchStat` variables. Their running mean, which `training.step` keeps, is what evaluation (`model.eval()`) is normalised
by. A micro-batch is a batch here: its examples are normalised together, and the mean of all micro-batches' moments is what
joins the running mean.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.baselines import config as sizes
from perceiver_jax.baselines.grid import GridArray
from perceiver_jax.model.config import InputSpec
from perceiver_jax.model.heads import Output
from perceiver_jax.model.inputs import Streams
from perceiver_jax.model.layers import activation_dtype, widened
from perceiver_jax.model.linear import Linear
from perceiver_jax.model.norm import EPSILON
from perceiver_jax.system.parts import part


class BatchNorm(nnx.Module):
    """x̂ g + b, x̂ each channel with mean 0 and variance 1 over all examples and pixels of a batch."""

    def __init__(self, channels: int, dtype: jnp.dtype | None, zero: bool):
        self.scale = nnx.Param(jnp.zeros(channels) if zero else jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.mean, self.variance = nnx.BatchStat(jnp.zeros(channels)), nnx.BatchStat(jnp.ones(channels))
        self.dtype = dtype
        self.use_running_average = False  # what `eval` and `train` of a module set

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The normalised x: in training by its own moments, kept in `mean` and `variance`, otherwise by those stored."""
        dtype = self.dtype or x.dtype
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        mean, variance = self.mean[...], self.variance[...]
        if not self.use_running_average:
            mean = wide.mean(axis=(0, 1, 2))
            variance = jnp.square(wide - mean).mean(axis=(0, 1, 2))
            self.mean[...], self.variance[...] = mean, variance
        factor = jax.lax.rsqrt(variance + EPSILON) * self.scale[...]
        return ((wide - mean) * factor + self.bias[...]).astype(dtype)


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

    def __call__(self, x: Float[Array, "B H W C"], shared: Float[Array, "1 H W P"] | None = None) -> Float[Array, "B h w c"]:
        """The normalised convolution; `shared` are further channels, alike for all examples."""
        dtype = self.dtype or x.dtype
        kernel = self.kernel[...].astype(dtype)
        y = self._convolved(x.astype(dtype), kernel[:, :, : x.shape[-1]])
        if shared is not None:
            y = y + self._convolved(shared.astype(dtype), kernel[:, :, x.shape[-1] :])
        return self.norm(y)

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

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w c"]:
        """The block's output."""
        y = self.reduce(x)
        y = self.spatial(jax.nn.relu(y))
        y = self.expand(jax.nn.relu(y))
        return jax.nn.relu((x if self.shortcut is None else self.shortcut(x)) + y)


class ResNet(nnx.Module):
    """A 7 x 7 convolution of the input array, a pool, stages of bottlenecks, the mean over positions, one linear layer.

    Kernels start He-normal in what comes in, the classifier from zero.
    """

    def __init__(
        self,
        config: sizes.ResNetConfig,
        inputs: Sequence[InputSpec],
        num_outputs: int,
        rngs: nnx.Rngs,
    ):
        dtype = activation_dtype(config.compute_dtype)
        self.remat = config.remat
        self.inputs = GridArray(config, inputs, rngs)
        self.stem = NormedConv(self.inputs.channels, config.stem_channels, sizes.STEM_SIZE, 2, dtype, rngs)
        self.blocks = nnx.List([Bottleneck(block, dtype, rngs) for block in config.blocks])
        self.head = Linear(config.out_channels, num_outputs, None, rngs, zero=True)

    def __call__(self, inputs: Streams, masks: Streams | None = None, capture: bool = False) -> Output:
        """Class logits. `capture` is for the attention of cross-attends: there are none."""
        features, positions = self.inputs(inputs, masks)
        with part("stem"):
            x = _pooled(jax.nn.relu(self.stem(features, positions)))
        # NNX's own, for what a block sets in its norms leaves it.
        block = nnx.remat(Bottleneck.__call__) if self.remat == "block" else Bottleneck.__call__
        for number, module in enumerate(self.blocks, start=1):
            with part(f"block {number}"):
                x = block(module, x)
        with part("head"):
            return Output(self.head(widened(x.mean(axis=(1, 2)))), [])


def _pooled(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """The highest of 3 x 3 positions around every second position."""
    return nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
