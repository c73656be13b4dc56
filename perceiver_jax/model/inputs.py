"""The input array: each input's features, then its position (section 3.2). Concatenated, never added."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from perceiver_jax.model.config import FourierPositions, LearnedPositions, NoPositions
from perceiver_jax.model.positions import fourier_features


class InputArray(nnx.Module):
    """Makes the (B, M, C) input array from features on a grid; owns the learned positions where there are any."""

    def __init__(
        self,
        positions: FourierPositions | LearnedPositions | NoPositions,
        grid: Sequence[int],
        num_features: int,
        rngs: nnx.Rngs,
    ):
        self.config, self.grid = positions, tuple(grid)
        match positions:
            case FourierPositions():
                position_channels = len(self.grid) * (2 * positions.num_bands + 1)
            case LearnedPositions():
                position_channels = positions.channels
                init = nnx.initializers.truncated_normal(positions.init_scale)
                self.positions = nnx.Param(init(rngs.params(), (math.prod(self.grid), position_channels)))
            case NoPositions():
                position_channels = 0
        self.channels = num_features + position_channels  # C

    def __call__(self, features: Float[Array, "B *grid F"]) -> Float[Array, "B M C"]:
        """The inputs in row-major order, features first.

        Raises ValueError where the features do not lie on the grid the positions were made for.
        """
        if features.shape[1:-1] != self.grid:
            raise ValueError(f"features on a grid of {features.shape[1:-1]}: expected {self.grid}")
        features = features.reshape(features.shape[0], -1, features.shape[-1])
        match self.config:
            case FourierPositions(num_bands=num_bands, max_resolution=max_resolution):
                positions = jnp.asarray(fourier_features(self.grid, num_bands, max_resolution), features.dtype)
            case LearnedPositions():
                positions = self.positions[...].astype(features.dtype)
            case NoPositions():
                return features
        positions = jnp.broadcast_to(positions, (features.shape[0], *positions.shape))
        return jnp.concatenate([features, positions], axis=-1)
