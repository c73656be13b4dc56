"""Pictures: random affine maps and normalisation. NumPy and OpenCV alone, for processes that need no JAX."""

import functools
import math
from types import ModuleType
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from pydantic import Field

from perceiver_jax.section import Fraction, NonNegative, Section


class NoAugment(Section):
    """Pictures as they are."""

    kind: Literal["none"]


class Affine(Section):
    """One random affine map per picture, each quantity drawn uniformly between minus and plus its limit."""

    kind: Literal["affine"]
    rotate_degrees: NonNegative
    shear: NonNegative  # x by y
    scale: Fraction  # relative, each axis by itself
    translate: Fraction  # of the picture's side


AugmentConfig = Annotated[NoAugment | Affine, Field(discriminator="kind")]


def augment(
    image: UInt8[np.ndarray, "H W C"], config: NoAugment | Affine, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W C"]:
    """The picture under one random map; all of the chance comes from `rng`."""
    if isinstance(config, NoAugment):
        return image
    height, width, _ = image.shape
    rotate, shear, scale_y, scale_x, move_y, move_x = rng.uniform(-1, 1, 6).tolist()
    matrix = affine_map(
        (height, width),
        rotate_degrees=rotate * config.rotate_degrees,
        shear=shear * config.shear,
        scale=(1 + scale_y * config.scale, 1 + scale_x * config.scale),
        translate=(move_y * config.translate * height, move_x * config.translate * width),
    )
    return warp(image, matrix)


def affine_map(
    shape: tuple[int, int],
    rotate_degrees: float,
    shear: float,
    scale: tuple[float, float],
    translate: tuple[float, float],
) -> Float64[np.ndarray, "2 3"]:
    """The map of pixel coordinates (x, y): scale, then shear, then rotate about the centre, then translate.

    Shape, scale and translate (in pixels) are (y, x). As seen, with y downwards, rotation is counter-clockwise.
    Written out per coefficient, since matrix products of this size take NumPy longer than the warp.
    """
    angle = math.radians(rotate_degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    (scale_y, scale_x), (move_y, move_x) = scale, translate
    centre_y, centre_x = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    xx, xy = cos * scale_x, (cos * shear + sin) * scale_y
    yx, yy = -sin * scale_x, (cos - sin * shear) * scale_y
    offset_x = centre_x - xx * centre_x - xy * centre_y + move_x
    offset_y = centre_y - yx * centre_x - yy * centre_y + move_y
    return np.array([[xx, xy, offset_x], [yx, yy, offset_y]])


def warp(image: UInt8[np.ndarray, "H W C"], matrix: Float64[np.ndarray, "2 3"]) -> UInt8[np.ndarray, "H W C"]:
    """The picture with each point moved by `matrix`, cubic, 0 where nothing came from.

    Bilinear would blur what it moves: pictures of 8 x 8 pixels would never be seen as sharp as those they are tested on.
    """
    height, width, _ = image.shape
    cv2 = _opencv()
    moved = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return moved.reshape(image.shape)  # OpenCV drops the axis of a single channel


def normalize(
    image: UInt8[np.ndarray, "*B H W C"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float32[np.ndarray, "*B H W C"]:
    """Pictures less `mean`, over `std`, per channel."""
    return (image - np.array(mean, np.float32)) / np.array(std, np.float32)


@functools.cache
def _opencv() -> ModuleType:
    """OpenCV, imported by the first picture that needs it (0.3 s), without threads of its own: pictures are small."""
    import cv2

    cv2.setNumThreads(0)
    return cv2
