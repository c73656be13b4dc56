"""Parts of pictures: which, resized to the inputs, and where their pixels were in the whole."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax.modalities.image.config import RandomCrop
from perceiver_jax.readers.opencv import opencv

NUM_BOXES = 5  # the centre and the four corners
MAX_VIEWS = 2 * NUM_BOXES  # each mirrored too


class Box(NamedTuple):
    """Rows and columns of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


def random_box(shape: tuple[int, int], config: RandomCrop, inputs: tuple[int, int], rng: np.random.Generator) -> Box | None:
    """A random part of a picture (height, width), or None if none of the attempts fits.

    Its aspect is that of the inputs (height, width), changed at random. As TensorFlow's `sample_distorted_bounding_box`
    draws it: the aspect is uniform, then the height among those that give an allowed area and fit: small areas are likelier
    than if the area were uniform.
    """
    height, width = shape
    least = max(config.area[0], config.min_object_covered) * height * width
    for _ in range(config.attempts):
        aspect = rng.uniform(*config.aspect) * (inputs[1] / inputs[0])
        low, high = (round(math.sqrt(part * height * width / aspect)) for part in config.area)
        high = min(high, height, int((width + 0.5) / aspect))
        rows = int(rng.integers(min(low, high), high, endpoint=True))
        columns = round(rows * aspect)
        if 0 < columns <= width and least <= rows * columns:
            top = int(rng.integers(height - rows, endpoint=True))
            return Box(top, int(rng.integers(width - columns, endpoint=True)), rows, columns)
    return None


def centre_box(shape: tuple[int, int], part: float, inputs: tuple[int, int]) -> Box:
    """The middle of a picture (height, width) in the inputs' aspect: `part` of the largest box of that aspect.

    Of square inputs, a square whose side is `part` of the shorter one.
    """
    (height, width), (rows, columns) = shape, inputs
    high = max(1, int(part * min(height, width * rows / columns)))
    wide = max(1, int(part * min(width, height * columns / rows)))
    return Box((height - high + 1) // 2, (width - wide + 1) // 2, high, wide)


def view_box(shape: tuple[int, int], part: float, inputs: tuple[int, int], view: int) -> tuple[Box, bool]:
    """One of the `MAX_VIEWS` views of a picture, and whether it is mirrored: centre, corners, then those mirrored."""
    box, corner = centre_box(shape, part, inputs), view % NUM_BOXES - 1
    if corner >= 0:
        down, right = divmod(corner, 2)
        box = box._replace(top=down * (shape[0] - box.height), left=right * (shape[1] - box.width))
    return box, view >= NUM_BOXES


def cut(image: UInt8[np.ndarray, "H W C"], box: Box, flip: bool = False) -> UInt8[np.ndarray, "h w C"]:
    """A part of a picture, mirrored left to right if `flip`."""
    part = image[box.top : box.top + box.height, box.left : box.left + box.width]
    return np.ascontiguousarray(part[:, ::-1] if flip else part)


def resize(image: UInt8[np.ndarray, "H W C"], shape: tuple[int, int]) -> Float32[np.ndarray, "h w C"]:
    """The picture at another size (height, width), bicubic; values may leave 0 to 255 where edges overshoot.

    Not averaged where it shrinks, as in the authors' code. OpenCV's kernel has a = -0.75 where TensorFlow's has -0.5:
    they differ by about one of 255, and the exact one, by hand, takes six times as long.
    """
    cv2 = opencv()
    resized = cv2.resize(image.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return resized.reshape(*shape, image.shape[-1])  # OpenCV drops the axis of a single channel


def fitted(image: UInt8[np.ndarray, "H W C"], shape: tuple[int, int]) -> UInt8[np.ndarray, "h w C"]:
    """The largest centred part of the aspect of `shape` (height, width), at that size; itself if it has it already.

    Averaged over areas where it shrinks, since small pictures show what is left out between their pixels; bicubic otherwise.
    """
    if image.shape[:2] == shape:
        return image
    cv2, part = opencv(), cut(image, centre_box(image.shape[:2], 1.0, shape))
    how = cv2.INTER_AREA if part.shape[0] >= shape[0] and part.shape[1] >= shape[1] else cv2.INTER_CUBIC
    return cv2.resize(part, shape[::-1], interpolation=how).reshape(*shape, image.shape[-1])


def coordinates(
    whole: tuple[int, int], box: Box, shape: tuple[int, int], flip: bool = False
) -> Float32[np.ndarray, "h w 2"]:
    """Where each pixel of a resized part has its centre in the whole picture: (y, x), whose edges are at -1 and 1."""

    def axis(start: int, length: int, all_: int, n: int) -> np.ndarray:
        return 2 * (start + (np.arange(n) + 0.5) * length / n) / all_ - 1

    y = axis(box.top, box.height, whole[0], shape[0])
    x = axis(box.left, box.width, whole[1], shape[1])[:: -1 if flip else 1]
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).astype(np.float32)
