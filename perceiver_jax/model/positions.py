"""Where inputs stand: Fourier features of grid coordinates (section 3.2). Plain numpy, made once in float64."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def coordinates(length: int) -> Float[np.ndarray, " n"]:
    """The coordinates of one axis: equally spaced, the ends exactly -1 and 1."""
    return np.linspace(-1.0, 1.0, length)


def bands(num_bands: int, max_resolution: float) -> Float[np.ndarray, " K"]:
    """f_1 to f_K: equally spaced from 1 to mu / 2, the Nyquist frequency of the rate mu."""
    return np.linspace(1.0, max_resolution / 2, num_bands)


def axis_table(length: int, num_bands: int, max_resolution: float) -> Float[np.ndarray, "n 2K+1"]:
    """The features of one axis: the coordinate x, then sin(pi f_k x) for every band, then cos(pi f_k x)."""
    x = coordinates(length)[:, None]
    angles = math.pi * x * bands(num_bands, max_resolution)
    return np.concatenate([x, np.sin(angles), np.cos(angles)], axis=1)


def fourier_features(grid: Sequence[int], num_bands: int, max_resolution: Sequence[float]) -> Float[np.ndarray, "M P"]:
    """The features of every place on a grid, row-major: all raw coordinates, then all sines, then all cosines.

    Within each of the three, axis by axis. P = axes x (2 K + 1).
    """
    tables = [axis_table(n, num_bands, mu) for n, mu in zip(grid, max_resolution, strict=True)]
    places = np.indices(grid).reshape(len(grid), -1)
    parts = (slice(0, 1), slice(1, 1 + num_bands), slice(1 + num_bands, None))
    columns = [table[index][:, part] for part in parts for table, index in zip(tables, places, strict=True)]
    return np.concatenate(columns, axis=1)
