"""The input array on its grid, and linear maps of it that need not hold it.

Every input's channels are its features, then its position. All examples share the positions: a linear map of the array is
one of the features, plus one of the positions that is the same for all examples and taken once.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.baselines.config import BaselineConfig, num_patches
from perceiver_jax.model.config import InputSpec
from perceiver_jax.model.inputs import InputArray, Streams, by_name, check_grid
from perceiver_jax.model.linear import Linear, affine
from perceiver_jax.section import of_stream
from perceiver_jax.system.parts import part


class Parts(NamedTuple):
    """The channels that differ from example to example, and those that do not; None where there are none."""

    features: Float[Array, "B *grid F"]
    positions: Float[Array, "1 *grid P"] | None


class GridArray(nnx.Module):
    """Makes the input array in its two parts, with `permutation_seed` in another order: the same for all examples."""

    def __init__(self, config: BaselineConfig, inputs: Sequence[InputSpec], rngs: nnx.Rngs):
        """Raises ValueError for inputs that the config does not fit."""
        config.check_inputs(inputs, num_sharing=1)
        (spec,) = inputs
        self.inputs = InputArray(spec, of_stream(config.positions, spec.name), rngs)
        self.channels = self.inputs.channels  # C
        self.permutation_seed = config.permutation_seed

    def __call__(self, inputs: Streams, masks: Streams | None) -> Parts:
        """The input array; shuffled, each input keeps its position's channels and moves to another's position.

        Raises ValueError for inputs by name that are not this one stream, and where inputs are masked.
        """
        if masks is not None and not (isinstance(masks, Mapping) and not masks):
            raise ValueError("masks: a baseline sees every input")
        spec = self.inputs.spec
        features = by_name("inputs", inputs, (spec.name,))[spec.name]
        check_grid(spec, features)
        segment = self.inputs(features)
        # The segment's own: coordinates that examples bring with them are encoded there.
        own = segment.features.reshape(segment.features.shape[0], segment.num_inputs, -1)
        if segment.channels == segment.num_features:
            return Parts(self._on_grid(own), None)
        one = jnp.zeros_like(segment.features, shape=(1, *segment.features.shape[1:]))
        positions = dataclasses.replace(segment, features=one).array()[..., segment.num_features :]
        return Parts(self._on_grid(own), self._on_grid(positions))

    def _on_grid(self, rows: Float[Array, "b M c"]) -> Float[Array, "b *grid c"]:
        if self.permutation_seed is not None:
            rows = rows[:, permutation(self.permutation_seed, rows.shape[1])]
        return rows.reshape(rows.shape[0], *self.inputs.spec.grid, -1)


def permutation(seed: int, num_inputs: int) -> np.ndarray:
    """Which input is at each position: a function of the seed and the number of inputs."""
    return np.random.default_rng(seed).permutation(num_inputs)


class Embed(nnx.Module):
    """Patches of the input array become tokens: a linear map of all their channels.

    A patch is `patch_size` inputs along every axis of the grid, row-major, the features of all of them before their
    positions. The paper has patches that do not divide its grid (table 4: 8 and 16 on 44 x 44): zeros complete the last
    ones, so that no input is lost.
    """

    def __init__(self, array: GridArray, patch_size: int, channels: int, dtype: jnp.dtype | None, rngs: nnx.Rngs):
        self.patch_size = patch_size
        self.num_tokens = num_patches(array.inputs.spec.grid, patch_size)  # N
        self.linear = Linear(patch_size ** len(array.inputs.spec.grid) * array.channels, channels, dtype, rngs)

    def __call__(self, parts: Parts) -> Float[Array, "B N D"]:
        """The tokens, patches row-major."""
        with part("embed"):
            return self._tokens(parts)

    def _tokens(self, parts: Parts) -> Float[Array, "B N D"]:
        dtype = self.linear.dtype or parts.features.dtype
        kernel, bias = self.linear.kernel[...].astype(dtype), self.linear.bias[...].astype(dtype)
        features = patches(parts.features, self.patch_size).astype(dtype)
        tokens = affine(features, kernel[: features.shape[-1]], bias)
        if parts.positions is not None:
            positions = patches(parts.positions, self.patch_size).astype(dtype)
            tokens = tokens + affine(positions, kernel[features.shape[-1] :], jnp.zeros_like(bias))
        return tokens.astype(parts.features.dtype)  # as wide as the sum that the layers add to


def patches(x: Float[Array, "b *grid c"], size: int) -> Float[Array, "b n pc"]:
    """The patches of a grid as rows, zeros where the last ones extend beyond it."""
    grid = x.shape[1:-1]
    x = jnp.pad(x, [(0, 0), *((0, -length % size) for length in grid), (0, 0)])
    axes = range(1, 2 * len(grid), 2)
    x = x.reshape(x.shape[0], *(n for length in x.shape[1:-1] for n in (length // size, size)), x.shape[-1])
    x = x.transpose(0, *axes, *(axis + 1 for axis in axes), x.ndim - 1)
    return x.reshape(x.shape[0], -1, size ** len(grid) * x.shape[-1])
