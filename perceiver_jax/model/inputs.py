"""The input array: each input's features, then its position (section 3.2). Concatenated, never added.

Where an input stands is its place on the grid, or, for points and for pictures that keep their frame, coordinates that each
example brings with it as its last features.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from perceiver_jax.model.config import FourierPositions, LearnedPositions, NoPositions
from perceiver_jax.model.positions import axis_table, channel_order, encoded
from perceiver_jax.model.segment import Segment


class InputArray(nnx.Module):
    """Makes the M inputs of C channels from features on a grid; owns the learned positions where there are any."""

    def __init__(
        self,
        positions: FourierPositions | LearnedPositions | NoPositions,
        grid: Sequence[int],
        num_features: int,
        rngs: nnx.Rngs,
        num_coordinates: int = 0,
    ):
        self.config, self.grid, self.num_coordinates = positions, tuple(grid), num_coordinates
        match positions:
            case FourierPositions():
                num_axes = num_coordinates or len(self.grid)
                position_channels = num_axes * (2 * positions.num_bands + 1) - num_coordinates
            case LearnedPositions():
                position_channels = positions.channels
                init = nnx.initializers.truncated_normal(positions.init_scale)
                self.positions = nnx.Param(init(rngs.params(), (math.prod(self.grid), position_channels)))
            case NoPositions():
                position_channels = 0
        self.channels = num_features + position_channels  # C

    def __call__(self, features: Float[Array, "B *grid F"], mask: Bool[Array, "B M"] | None = None) -> Segment:
        """The inputs, row-major, features first.

        Raises ValueError where the features do not lie on the grid the positions were made for.
        """
        if features.shape[1:-1] != self.grid:
            raise ValueError(f"features on a grid of {features.shape[1:-1]}: expected {self.grid}")
        match self.config:
            case FourierPositions(num_bands=num_bands, max_resolution=max_resolution) if self.num_coordinates:
                own, coordinates = jnp.split(features, [features.shape[-1] - self.num_coordinates], axis=-1)
                return Segment(jnp.concatenate([own, encoded(coordinates, num_bands, max_resolution)], -1), mask=mask)
            case FourierPositions(num_bands=num_bands, max_resolution=max_resolution):
                axes = zip(self.grid, max_resolution, strict=True)
                tables = tuple(jnp.asarray(axis_table(n, num_bands, mu), features.dtype) for n, mu in axes)
                return Segment(features, tables, mask=mask, columns=channel_order(len(self.grid), num_bands))
            case LearnedPositions(channels=channels):
                features = features.reshape(features.shape[0], -1, features.shape[-1])
                return Segment(features, (self.positions[...],), mask=mask, columns=(tuple(range(channels)),))
            case NoPositions():
                return Segment(features, mask=mask)
