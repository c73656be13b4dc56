"""Log-mel spectrograms, as tf.signal defines them: HTK's scale, bands of equal height, magnitudes."""

import functools

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.sparse import csr_array

_BLOCK = 15  # frames that are transformed at once: what that takes stays in the processor's cache


def log_mel(
    sound: Float32[np.ndarray, " samples"],
    sample_rate: int,
    window: int,
    hop: int,
    band_edges: tuple[float, float],
    num_bands: int,
    offset: float,
) -> Float32[np.ndarray, "frames bands"]:
    """ln(x + `offset`) of the magnitude in each band: one frame for each hop that has begun, time first.

    Frame k is of the `window` samples from k * `hop` on, under a periodic Hann window; zeros follow the end.
    """
    frames = -(-len(sound) // hop)
    padded = np.zeros((frames - 1) * hop + window if frames else 0)  # single precision leaves noise above the offset
    padded[: len(sound)] = sound[: len(padded)]
    parts = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] if frames else np.zeros((0, window))
    first, end, bands = _sparse(sample_rate, window, band_edges, num_bands)
    magnitudes = np.zeros((frames, end - first))
    for begin in range(0, frames, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        magnitudes[block] = np.abs(np.fft.rfft(parts[block] * _hann(window))[:, first:end])
    return np.log(bands @ magnitudes.T + offset).T.astype(np.float32, order="C")


@functools.cache
def _sparse(sample_rate: int, window: int, band_edges: tuple[float, float], num_bands: int) -> tuple[int, int, csr_array]:
    """The first bin that a band hears, the one after the last, and the weights of those between, (bands, bins).

    Sparse for speed, and so that no threads of a matmul library wait for each other in every worker.
    """
    weights = mel_matrix(sample_rate, window, band_edges, num_bands)
    heard = np.flatnonzero(weights.any(axis=1))
    first, end = (int(heard[0]), int(heard[-1]) + 1) if len(heard) else (0, 0)
    return first, end, csr_array(weights[first:end].T)


@functools.cache
def mel_matrix(
    sample_rate: int, window: int, band_edges: tuple[float, float], num_bands: int
) -> Float64[np.ndarray, "bins bands"]:
    """The weight of every bin of the transform in every band: triangles on the mel scale, of height 1.

    The bin of 0 Hz has no part in any.
    """
    bins = _mel(np.arange(window // 2 + 1) * sample_rate / window)[:, None]
    edges = np.linspace(*_mel(np.array(band_edges)), num_bands + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    weights[0] = 0
    return weights


def _mel(hertz: Float[np.ndarray, " _"]) -> Float64[np.ndarray, " _"]:
    """HTK's scale."""
    return 1127 * np.log1p(np.asarray(hertz, np.float64) / 700)


@functools.cache
def _hann(window: int) -> Float64[np.ndarray, " window"]:
    """Periodic: its last sample is not again the first one's zero."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
