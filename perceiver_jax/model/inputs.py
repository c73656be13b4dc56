"""The input array: each input's features, then its position (section 3.2). Concatenated, never added.

An input's position is its place on the grid, or, for points and for pictures that keep their frame, coordinates that each
example brings with it as its last features. Several streams of inputs are one array, one stream after the other in
alphabetical order; a learned vector a stream makes their inputs equally wide (section 4.2).
"""

import math
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Shaped

from perceiver_jax.model.config import (
    FourierPositions,
    InputSpec,
    LearnedPositions,
    ModalityVectors,
    NoPositions,
    PerceiverConfig,
    Positions,
    check_names,
)
from perceiver_jax.model.positions import axis_table, channel_order, encoded
from perceiver_jax.model.segment import Segment
from perceiver_jax.section import of_stream
from perceiver_jax.system.parts import part

Given = Shaped[Array | np.ndarray, "..."]  # checked here, so that errors are reported in words
Streams = Given | Mapping[str, Given]  # one array where there is one stream, otherwise by the streams' names
Masks = Given | Mapping[str, Given | None]  # likewise; None, or no entry: every input is seen


class InputArray(nnx.Module):
    """Makes one stream's inputs of C channels from features on a grid; owns its learned positions and vector, if any."""

    def __init__(
        self,
        spec: InputSpec,
        positions: Positions,
        rngs: nnx.Rngs,
        vectors: ModalityVectors | None = None,
        channels: int = 0,
    ):
        """With `vectors` the stream has one, which fills its inputs up to C `channels`."""
        self.spec, self.config = spec, positions
        own = positions.input_channels(spec)
        self.channels = channels if vectors else own  # C

        def normal(scale: float, *shape: int) -> nnx.Param:
            return nnx.Param(nnx.initializers.truncated_normal(scale)(rngs.params(), shape))

        if isinstance(positions, LearnedPositions):
            self.positions = normal(positions.init_scale, spec.num_inputs, positions.channels)
        self.vector = normal(vectors.init_scale, self.channels - own) if vectors else None

    def __call__(self, features: Given, mask: Given | None = None) -> Segment:
        """The inputs, row-major, features first.

        Raises TypeError for features that are not floating-point numbers, ValueError for a wrong number of channels, or on
        another grid than on-grid positions were made for, and for a mask that is not one truth value for each input.
        """
        with part(f"inputs {self.spec.name}"):
            return self._segment(features, mask)

    def _segment(self, features: Given, mask: Given | None) -> Segment:
        features = self._checked(features)
        mask = self._checked_mask(mask, features)
        vector = None if self.vector is None else self.vector[...]
        match self.config:
            case FourierPositions(num_bands=num_bands, max_resolution=max_resolution) if self.spec.num_coordinates:
                own, coordinates = jnp.split(features, [features.shape[-1] - self.spec.num_coordinates], axis=-1)
                features = jnp.concatenate([own, encoded(coordinates, num_bands, max_resolution)], -1)
                return Segment(features, constants=vector, mask=mask)
            case FourierPositions(num_bands=num_bands, max_resolution=max_resolution):
                axes = zip(self.spec.grid, max_resolution, strict=True)
                tables = tuple(jnp.asarray(axis_table(n, num_bands, mu), features.dtype) for n, mu in axes)
                return Segment(features, tables, vector, mask, channel_order(len(self.spec.grid), num_bands))
            case LearnedPositions(channels=channels):
                features = features.reshape(features.shape[0], -1, features.shape[-1])
                return Segment(features, (self.positions[...],), vector, mask, (tuple(range(channels)),))
            case NoPositions():
                return Segment(features, constants=vector, mask=mask)

    def _checked(self, features: Given) -> Array:
        name, num_features = self.spec.name, self.spec.num_features
        if not jnp.issubdtype(features.dtype, jnp.floating):
            rule = "pictures of bytes are normalised first" if features.dtype == jnp.uint8 else "convert them first"
            raise TypeError(f"{name}: expected floating-point inputs, got {features.dtype}: {rule}")
        moves = self.spec.num_coordinates > 0 or isinstance(self.config, NoPositions)  # positions do not depend on the grid
        if not moves or features.ndim != 2 + len(self.spec.grid):
            check_grid(self.spec, features)
        if features.shape[-1] != num_features:
            raise ValueError(f"{name}: features of {features.shape[-1]} channels: expected {num_features}")
        return jnp.asarray(features)

    def _checked_mask(self, mask: Given | None, features: Array) -> Array | None:
        if mask is None:
            return None
        expected = features.shape[0], math.prod(features.shape[1:-1])
        if mask.dtype != jnp.bool_ or mask.shape != expected:
            raise ValueError(f"{self.spec.name}: a mask of {mask.dtype} {mask.shape}: expected bool {expected}")
        return jnp.asarray(mask)


class InputArrays(nnx.Module):
    """Makes the segments of the whole input array, a stream each, in alphabetical order."""

    def __init__(self, config: PerceiverConfig, inputs: Sequence[InputSpec], rngs: nnx.Rngs):
        specs, vectors = sorted(inputs), config.modality_vectors
        self.names = tuple(spec.name for spec in specs)
        self.channels = config.input_channels(inputs)  # C
        positions = [of_stream(config.positions, name) for name in self.names]
        arrays = [InputArray(*each, rngs, vectors, self.channels) for each in zip(specs, positions, strict=True)]
        self.streams = nnx.Dict(dict(zip(self.names, arrays, strict=True)))

    def __call__(self, inputs: Streams, masks: Masks | None = None) -> list[Segment]:
        """The segments of a batch.

        Raises ValueError for streams that are missing, unknown or of different batches, and as `InputArray` does.
        """
        inputs = by_name("inputs", inputs, self.names)
        masks = by_name("masks", self._with_the_rest(masks), self.names)
        segments = [self.streams[name](inputs[name], masks[name]) for name in self.names]
        sizes = {name: segment.features.shape[0] for name, segment in zip(self.names, segments, strict=True)}
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise ValueError(f"streams of different numbers of examples: {found}")
        return segments

    def _with_the_rest(self, masks: Masks | None) -> Masks:
        everything = dict.fromkeys(self.names)
        return {**everything, **(masks or {})} if masks is None or isinstance(masks, Mapping) else masks


def by_name(what: str, given: Masks, names: Sequence[str]) -> Mapping[str, Given | None]:
    """What is given, by stream; raises ValueError where it is not that of each stream of a model and no other."""
    if isinstance(given, Mapping):
        check_names(f"the mapping of {what}", given, names, "the model reads")
        return given
    if len(names) > 1:
        raise ValueError(f"{what}: one array, but the model reads {', '.join(names)}; give them by name")
    return {names[0]: given}


def check_grid(spec: InputSpec, features: Given) -> None:
    """Raises ValueError where features are on another grid than their description says."""
    if features.ndim < 2 or features.shape[1:-1] != spec.grid:
        raise ValueError(f"{spec.name}: features on a grid of {features.shape[1:-1]}: expected {spec.grid}")
