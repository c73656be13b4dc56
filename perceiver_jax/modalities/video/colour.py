"""A change of a film's colours: one affine map for all its frames."""

import math

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from perceiver_jax.modalities.video.config import Colour
from perceiver_jax.readers.opencv import opencv

GREY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([GREY, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])  # from red, green, blue


def random_colour(
    config: Colour, mean: Float64[np.ndarray, "3"], rng: np.random.Generator
) -> Float64[np.ndarray, "3 4"] | None:
    """The map of (red, green, blue, 1) for a film of a mean colour, in 0..255; None where the film stays as it is."""
    if rng.random() >= config.probability:
        return None
    brightness, contrast, saturation, hue = rng.uniform(-1, 1, 4)
    saturate = 1 + saturation * config.saturation
    angle = 2 * math.pi * hue * config.hue
    cos, sin = saturate * math.cos(angle), saturate * math.sin(angle)
    turn = np.linalg.solve(_YIQ, np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ)
    scale = 1 + contrast * config.contrast
    offset = (1 - scale) * (turn @ mean) + 255 * brightness * config.brightness
    return np.concatenate([scale * turn, offset[:, None]], axis=1)


def mean_colour(frames: UInt8[np.ndarray, "T h w 3"]) -> Float64[np.ndarray, "3"]:
    """The mean of red, of green and of blue, in 0..255."""
    return np.array(opencv().mean(frames.reshape(-1, *frames.shape[2:]))[:3])


def changed(frames: UInt8[np.ndarray, "T h w 3"], affine: Float64[np.ndarray, "3 4"]) -> UInt8[np.ndarray, "T h w 3"]:
    """The frames with each colour mapped, rounded into 0..255."""
    count, height, width, _ = frames.shape
    one: Float32[np.ndarray, "T*h w 3"] = opencv().transform(frames.reshape(count * height, width, 3), affine)
    return one.reshape(frames.shape)
