"""The input array without the array: raw features, and one table of position channels for each axis of their grid.

An input's channels are its features, then its position, then constants: x_m = [f_m ; T_1[i_1], ..., T_d[i_d] ; e]. Images
and video have one Fourier table an axis, learned positions are one table over a single axis, point clouds have features
alone, and a modality's vector is constant. The tables are shared by all examples, so the (B, M, C) array need not exist.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from perceiver_jax.model.norm import EPSILON


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

    @property
    def separable(self) -> bool:
        """Whether positions are of several axes: a single table is as large as the positions it makes."""
        return len(self.tables) > 1

    def whole(self) -> "Segment":
        """The same inputs with no position apart from its input.

        A single table is as it is: it is not apart, and devices that share the inputs hold a part of it each.
        """
        return Segment(self.array(), mask=self.mask) if self.separable else self

    def array(self) -> Float[Array, "B M C"]:
        """The input array itself."""
        batch, dtype = self.features.shape[0], self.features.dtype
        parts = [self.features.reshape(batch, self.num_inputs, -1)]
        if self.tables:
            indices = np.indices(self.grid).reshape(len(self.grid), -1)
            positions = [table[index] for table, index in zip(self.tables, indices, strict=True)]
            order = np.argsort(np.concatenate(self.columns))
            parts.append(self._spread(jnp.concatenate(positions, axis=1)[:, order]))
        if self.constants is not None:
            parts.append(self._spread(self.constants))
        return jnp.concatenate([part.astype(dtype) for part in parts], axis=-1)

    def _spread(self, x: Float[Array, "... P"]) -> Float[Array, "B M P"]:
        return jnp.broadcast_to(x, (self.features.shape[0], self.num_inputs, x.shape[-1]))

    def statistics(self) -> tuple[Float[Array, "B *grid"], Float[Array, "B *grid"]]:
        """Each input's mean over its channels, and 1 / sqrt(variance + EPSILON): all that layer norm needs of it."""
        features, shared = as_statistics(self.features), self._shared()
        mean = (features.sum(-1) + sum(width * own for width, own, _ in shared)) / self.channels
        # Around means, channel by channel: a difference of large sums would lose the digits of a small variance.
        squares = jnp.square(features - mean[..., None]).sum(-1)
        squares = squares + sum(spread + width * jnp.square(own - mean) for width, own, spread in shared)
        return mean, jax.lax.rsqrt(squares / self.channels + EPSILON)

    def _shared(self) -> list[tuple[int, Array, Array]]:
        """What `_moments` says of each table, along its own axis of the grid, and of the constants."""
        axes = range(len(self.grid))
        shapes = [[-1 if axis == own else 1 for axis in axes] for own in axes]
        parts = [table.reshape(*shape, table.shape[1]) for table, shape in zip(self.tables, shapes, strict=False)]
        return [_moments(as_statistics(part)) for part in (*parts, self.constants) if part is not None]


def _moments(x: Float[Array, "*grid P"]) -> tuple[int, Float[Array, "*grid"], Float[Array, "*grid"]]:
    """How many channels, their mean, and the sum of their squares about it."""
    mean = x.mean(-1)
    return x.shape[-1], mean, jnp.square(x - mean[..., None]).sum(-1)


def whole_mask(segments: Sequence[Segment]) -> Bool[Array, "B M"] | None:
    """The masks of all segments one after the other; None where there is none."""
    if all(segment.mask is None for segment in segments):
        return None
    full = [jnp.ones((s.features.shape[0], s.num_inputs), bool) if s.mask is None else s.mask for s in segments]
    return jnp.concatenate(full, axis=1)


def anything_seen(segments: Sequence[Segment]) -> Bool[Array, "B S"] | None:
    """Whether an example has any input to see in each segment; None where it surely has one."""
    if any(segment.mask is None for segment in segments):
        return None
    return jnp.stack([segment.mask.any(axis=1) for segment in segments], axis=1)


def as_statistics(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The array in float32 or better: sums over many inputs are never taken in less."""
    return jnp.asarray(x, jnp.promote_types(x.dtype, jnp.float32))
