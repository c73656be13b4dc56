"""Positions of inputs: Fourier features of coordinates from -1 to 1 (section 3.2).

A position on a grid has the features of its coordinate along each axis, so a table for each axis holds all there is to know:
plain numpy, made once in float64. Coordinates that come with the examples are encoded as they come.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

EXACT_BITS = 12  # of two factors whose product a float32 holds without rounding


def coordinates(length: int) -> Float[np.ndarray, " n"]:
    """The coordinates of one axis: equally spaced, the ends exactly -1 and 1."""
    return np.linspace(-1.0, 1.0, length)


def bands(num_bands: int, max_resolution: float) -> Float[np.ndarray, " K"]:
    """f_1 to f_K: equally spaced from 1 to mu / 2, the Nyquist frequency of the rate mu."""
    return np.linspace(1.0, max_resolution / 2, num_bands)


def axis_table(length: int, num_bands: int, max_resolution: float) -> Float[np.ndarray, "n {2*num_bands+1}"]:
    """The features of one axis: the coordinate x, then sin(pi f_k x) for every band, then cos(pi f_k x)."""
    x = coordinates(length)[:, None]
    angles = math.pi * x * bands(num_bands, max_resolution)
    return np.concatenate([x, np.sin(angles), np.cos(angles)], axis=1)


def channel_order(num_axes: int, num_bands: int) -> tuple[tuple[int, ...], ...]:
    """For each axis, where its table's columns are among an input's position channels.

    All raw coordinates come first, then all sines, then all cosines; within each of the three, axis by axis.
    """
    kinds = ((0, 1), (num_axes, num_bands), (num_axes * (1 + num_bands), num_bands))
    return tuple(tuple(start + axis * width + i for start, width in kinds for i in range(width)) for axis in range(num_axes))


def encoded(coordinates: Float[Array, "*M d"], num_bands: int, max_resolution: Sequence[float]) -> Float[Array, "*M P"]:
    """The position channels of given coordinates, in `channel_order`: coordinates, then all sines, then all cosines."""
    turns = [_half_turns(coordinates[..., i], bands(num_bands, mu)) for i, mu in enumerate(max_resolution)]
    angles = math.pi * jnp.concatenate(turns, axis=-1)
    return jnp.concatenate([coordinates, jnp.sin(angles), jnp.cos(angles)], axis=-1)


def _half_turns(x: Float[Array, "*M"], frequencies: Float[np.ndarray, " K"]) -> Float[Array, "*M K"]:
    """f x less the nearest even number, to a few units of 1e-7 for every |x| up to 1 and f up to thousands.

    The angle pi f x itself, thousands of radians in float32, would be off by as many times that: the leading parts of both
    factors are multiplied exactly, and reduced before anything is added.
    """
    x = x[..., None]
    leading_x = jnp.round(x * 2.0 ** (EXACT_BITS - 1)) / 2.0 ** (EXACT_BITS - 1)
    steps = 2.0 ** (np.floor(np.log2(frequencies)) + 1 - EXACT_BITS)
    leading = np.round(frequencies / steps) * steps
    product = leading_x * leading.astype(x.dtype)
    reduced = product - 2 * jnp.round(product / 2)
    return reduced + (x - leading_x) * leading.astype(x.dtype) + x * (frequencies - leading).astype(x.dtype)
