"""Where inputs stand: Fourier features of grid coordinates (section 3.2). Plain numpy, made once in float64.

A place on a grid has the features of its coordinate along each axis, so a table for each axis holds all there is to know.
"""

import math

import numpy as np
from jaxtyping import Float


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
    """For each axis, where its table's columns stand among an input's position channels.

    All raw coordinates come first, then all sines, then all cosines; within each of the three, axis by axis.
    """
    kinds = ((0, 1), (num_axes, num_bands), (num_axes * (1 + num_bands), num_bands))
    return tuple(tuple(start + axis * width + i for start, width in kinds for i in range(width)) for axis in range(num_axes))
