"""One random affine map: rotation, shear, scale and translation at once, and a flip, for small pictures."""

import math

import numpy as np
from jaxtyping import Float64, UInt8

from perceiver_jax.modalities.image.config import Affine
from perceiver_jax.readers.opencv import opencv


def random_warp(image: UInt8[np.ndarray, "H W C"], config: Affine, rng: np.random.Generator) -> UInt8[np.ndarray, "H W C"]:
    """The picture under one random map, perhaps flipped; all randomness comes from `rng`."""
    height, width, _ = image.shape
    rotate, shear, scale_y, scale_x, move_y, move_x = rng.uniform(-1, 1, 6).tolist()
    matrix = affine_map(
        (height, width),
        rotate_degrees=rotate * config.rotate_degrees,
        shear=shear * config.shear,
        scale=(1 + scale_y * config.scale, 1 + scale_x * config.scale),
        translate=(move_y * config.translate * height, move_x * config.translate * width),
    )
    moved = warp(image, matrix)
    return moved[:, ::-1] if rng.random() < config.flip_probability else moved


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
    cv2 = opencv()
    moved = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return moved.reshape(image.shape)  # OpenCV drops the axis of a single channel
