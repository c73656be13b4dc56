"""The input array without the array: raw features, and one table of position channels for each axis of their grid.

An input's channels are its features, then its position, then constants: x_m = [f_m ; T_1[i_1], ..., T_d[i_d] ; e]. Images
and video have one Fourier table an axis, learned positions are one table over a single axis, point clouds have features
alone, and a modality's vector is constant. The tables are shared by all examples, so the (B, M, C) array need not exist.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["features", "tables", "constants", "mask"],
    meta_fields=["columns"],
)
@dataclasses.dataclass(frozen=True)
class Segment:
    """M inputs of C channels, M the product of the grid's lengths, row-major."""

    features: Float[Array, "B *grid F"]
    tables: tuple[Float[Array, "_ _"], ...] = ()  # one for each axis of the grid, or none
    constants: Float[Array, " E"] | None = None  # the same channels for every input
    mask: Bool[Array, "B M"] | None = None  # False: not seen
    columns: tuple[tuple[int, ...], ...] = ()  # for each table, which of the position channels its columns are

    @property
    def grid(self) -> tuple[int, ...]:
        """The lengths of the grid's axes."""
        return self.features.shape[1:-1]

    @property
    def num_inputs(self) -> int:
        """M."""
        return math.prod(self.grid)

    @property
    def num_features(self) -> int:
        """F, the channels that differ from example to example."""
        return self.features.shape[-1]

    @property
    def channels(self) -> int:
        """C."""
        constants = 0 if self.constants is None else self.constants.shape[-1]
        return self.num_features + sum(table.shape[1] for table in self.tables) + constants

    def array(self) -> Float[Array, "B M C"]:
        """The input array itself."""
        batch, dtype = self.features.shape[0], self.features.dtype
        parts = [self.features.reshape(batch, self.num_inputs, -1)]
        if self.tables:
            places = np.indices(self.grid).reshape(len(self.grid), -1)
            positions = [table[place] for table, place in zip(self.tables, places, strict=True)]
            order = np.argsort(np.concatenate(self.columns))
            parts.append(self._spread(jnp.concatenate(positions, axis=1)[:, order]))
        if self.constants is not None:
            parts.append(self._spread(self.constants))
        return jnp.concatenate([part.astype(dtype) for part in parts], axis=-1)

    def _spread(self, x: Float[Array, "... P"]) -> Float[Array, "B M P"]:
        return jnp.broadcast_to(x, (self.features.shape[0], self.num_inputs, x.shape[-1]))

    def statistics(self, epsilon: float) -> tuple[Float[Array, "B *grid"], Float[Array, "B *grid"]]:
        """Each input's mean over its channels, and 1 / sqrt(variance + epsilon): all that layer norm needs of it."""
        features = as_statistics(self.features)
        first, second = self._shared_sums(lambda x: x), self._shared_sums(jnp.square)
        mean = (features.sum(-1) + first) / self.channels
        # Around the mean, channel by channel: a difference of large sums would lose the digits of a small variance.
        shared = second - 2 * mean * first + (self.channels - self.num_features) * jnp.square(mean)
        variance = (jnp.square(features - mean[..., None]).sum(-1) + shared) / self.channels
        return mean, jax.lax.rsqrt(variance + epsilon)

    def _shared_sums(self, function: Callable[[Array], Array]) -> Float[Array, "*grid"]:
        """The sum of a function over the channels that do not depend on the example."""
        total = jnp.zeros(self.grid, as_statistics(self.features).dtype)
        for axis, table in enumerate(self.tables):
            shape = [1] * len(self.grid)
            shape[axis] = -1
            total = total + function(as_statistics(table)).sum(-1).reshape(shape)
        return total if self.constants is None else total + function(as_statistics(self.constants)).sum()


def whole_mask(segments: Sequence[Segment]) -> Bool[Array, "B M"] | None:
    """The masks of all segments one after the other; None where there is none."""
    if all(segment.mask is None for segment in segments):
        return None
    full = [jnp.ones((s.features.shape[0], s.num_inputs), bool) if s.mask is None else s.mask for s in segments]
    return jnp.concatenate(full, axis=1)


def as_statistics(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The array in float32 or better: sums over many inputs are never taken in less."""
    return jnp.asarray(x, jnp.promote_types(x.dtype, jnp.float32))
