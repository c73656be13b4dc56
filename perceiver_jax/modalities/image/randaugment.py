"""RandAugment's sixteen operations, on pictures of bytes, and the random choice among them.

What magnitude m of 10 means, as in the code published with EfficientNet for TPUs: rotate 30 m/10 degrees; shear 0.3 m/10;
translate `translate` m/10, in `unit`; color, contrast, brightness and sharpness by the factor 0.1 + 1.8 m/10, which is 1, no
change at all, at the paper's 5; posterize to int(4 m/10) bits; solarize from int(256 m/10) up; solarize_add int(110 m/10);
cut out twice `cutout` m/10 a side, in whole pixels; auto_contrast, equalize and invert have none. Moves go either way.

The operations are Pillow's. Through a table they give its very pixels, so do shear and translate; color and sharpness are
rounded, not cut off, to whole numbers, so they differ by at most 1. OpenCV does each in 0.05 to 0.15 ms at 370 x 280, Pillow
in 0.1 to 1.5.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float64, UInt8

from perceiver_jax.modalities.image.config import MAX_MAGNITUDE, RandAugment
from perceiver_jax.readers.opencv import opencv

Picture = UInt8[np.ndarray, "H W C"]
GREY = np.array([19595, 38470, 7471]) / 65536  # of red, green and blue (ITU-R 601), in Pillow's fractions


def random_operations(image: Picture, config: RandAugment, rng: np.random.Generator) -> Picture:
    """The picture after `num_layers` operations drawn uniformly, each of them applied."""
    names = tuple(OPERATIONS)
    for _ in range(config.num_layers):
        image = OPERATIONS[names[rng.integers(len(names))]](image, config.magnitude / MAX_MAGNITUDE, config, rng)
    return image


def auto_contrast(image: Picture) -> Picture:
    """The picture with the values of each channel stretched from 0 to 255."""
    tables = []
    for counts in _histograms(image):
        low, high = np.flatnonzero(counts)[[0, -1]]
        scale = 255 / (high - low) if high > low else 0
        tables.append(np.arange(256) * scale - low * scale if scale else np.arange(256))
    return _looked_up(image, np.stack(tables, axis=-1))


def equalize(image: Picture) -> Picture:
    """The picture with the values of each channel as evenly frequent as they can be."""
    tables = []
    for counts in _histograms(image):
        step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        below = np.cumsum(counts) - counts
        tables.append((step // 2 + below) // step if step else np.arange(256))
    return _looked_up(image, np.stack(tables, axis=-1))


def invert(image: Picture) -> Picture:
    """The negative."""
    return 255 - image


def posterize(image: Picture, bits: int) -> Picture:
    """The picture with `bits` bits per channel, the others 0."""
    return image & np.uint8(256 - 2 ** (8 - bits))


def solarize(image: Picture, threshold: int) -> Picture:
    """The picture, negative where it is `threshold` or more."""
    values = np.arange(256)
    return _looked_up(image, np.where(values < threshold, values, 255 - values))


def solarize_add(image: Picture, addition: int) -> Picture:
    """The picture, brighter by `addition` where it is darker than 128."""
    values = np.arange(256)
    return _looked_up(image, np.where(values < 128, values + addition, values))


def color(image: Picture, factor: float) -> Picture:
    """Between grey (0), the picture (1) and more colour; one channel has none to change."""
    if image.shape[-1] == 1 or factor == 1:
        return image
    return opencv().transform(image, factor * np.eye(3) + (1 - factor) * GREY)


def contrast(image: Picture, factor: float) -> Picture:
    """Between its mean grey (0), the picture (1) and more contrast."""
    means = opencv().mean(image)[: image.shape[-1]]
    return _blended(image, math.floor((means @ GREY if len(means) == 3 else means[0]) + 0.5), factor)


def brightness(image: Picture, factor: float) -> Picture:
    """Between black (0), the picture (1) and more light."""
    return _blended(image, 0, factor)


def sharpness(image: Picture, factor: float) -> Picture:
    """Between smoothed (0), the picture (1) and sharpened; the outermost pixels stay as they are."""
    if factor == 1 or min(image.shape[:2]) < 3:
        return image
    kernel = np.ones((3, 3))
    kernel[1, 1] = 5
    kernel *= (1 - factor) / 13
    kernel[1, 1] += factor
    sharpened = opencv().filter2D(image, -1, kernel).reshape(image.shape)
    result = image.copy()
    result[1:-1, 1:-1] = sharpened[1:-1, 1:-1]
    return result


def rotate(image: Picture, degrees: float, fill: int) -> Picture:
    """The picture turned counter-clockwise about its centre."""
    height, width = image.shape[:2]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    rows = [[cos, -sin, centre_x - cos * centre_x + sin * centre_y], [sin, cos, centre_y - sin * centre_x - cos * centre_y]]
    return _moved(image, np.array(rows), fill)


def shear_x(image: Picture, shear: float, fill: int) -> Picture:
    """The picture with each row moved left by `shear` times its height below the top."""
    return _moved(image, np.array([[1, shear, shear / 2], [0, 1, 0]]), fill)


def shear_y(image: Picture, shear: float, fill: int) -> Picture:
    """The picture with each column moved up by `shear` times its distance from the left."""
    return _moved(image, np.array([[1, 0, 0], [shear, 1, shear / 2]]), fill)


def translate_x(image: Picture, pixels: float, fill: int) -> Picture:
    """The picture moved left."""
    return _moved(image, np.array([[1, 0, pixels], [0, 1, 0.0]]), fill)


def translate_y(image: Picture, pixels: float, fill: int) -> Picture:
    """The picture moved up."""
    return _moved(image, np.array([[1, 0, 0.0], [0, 1, pixels]]), fill)


def cutout(image: Picture, centre: tuple[int, int], half: int, fill: int) -> Picture:
    """The picture without the square of `2 half` pixels a side about a position (y, x), as far as it is inside."""
    result = image.copy()
    (top, bottom), (left, right) = ((max(0, middle - half), middle + half) for middle in centre)
    result[top:bottom, left:right] = fill
    return result


def _histograms(image: Picture) -> list[np.ndarray]:
    """How often each channel has each value."""
    calc = opencv().calcHist
    return [calc([image], [c], None, [256], [0, 256]).ravel().astype(np.int64) for c in range(image.shape[-1])]


def _looked_up(image: Picture, table: np.ndarray) -> Picture:
    """Each value looked up in a table, of all channels or (256, C), cut off to bytes."""
    table = np.clip(table, 0, 255).astype(np.uint8)
    return opencv().LUT(image, table.reshape(1, 256, -1)).reshape(image.shape)


def _blended(image: Picture, value: int, factor: float) -> Picture:
    """Between one value everywhere (0) and the picture (1), and beyond."""
    return _looked_up(image, value + np.float32(factor) * (np.arange(256, dtype=np.float32) - np.float32(value)))


def _moved(image: Picture, matrix: Float64[np.ndarray, "2 3"], fill: int) -> Picture:
    """The picture whose pixel (x, y) comes from the nearest one to `matrix` (x, y, 1); `fill` where there is none."""
    cv2 = opencv()
    flags, size = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, image.shape[1::-1]
    filled = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (fill,) * 3}
    return cv2.warpAffine(image, matrix, size, flags=flags, **filled).reshape(image.shape)


# Each takes the picture, the magnitude from 0 to 1, the other settings, and the chance that is left.
Operation = Callable[[Picture, float, RandAugment, np.random.Generator], Picture]


def _fixed(operation: Callable[[Picture], Picture]) -> Operation:
    return lambda image, level, config, rng: operation(image)


def _by(operation: Callable, amount: Callable[[float], float]) -> Operation:
    return lambda image, level, config, rng: operation(image, amount(level))


def _either_way(operation: Callable, amount: Callable[[float], float]) -> Operation:
    def moved(image: Picture, level: float, config: RandAugment, rng: np.random.Generator) -> Picture:
        sign = 1 - 2 * int(rng.integers(2))
        return operation(image, sign * amount(level), config.fill)

    return moved


def _along(operation: Callable, axis: int) -> Operation:
    def moved(image: Picture, level: float, config: RandAugment, rng: np.random.Generator) -> Picture:
        pixels = _in_pixels(config.translate, config, image.shape[axis]) * level
        return _either_way(operation, lambda _: pixels)(image, level, config, rng)

    return moved


def _cut_out(image: Picture, level: float, config: RandAugment, rng: np.random.Generator) -> Picture:
    centre = (int(rng.integers(image.shape[0])), int(rng.integers(image.shape[1])))
    half = int(level * _in_pixels(config.cutout, config, min(image.shape[:2])))
    return cutout(image, centre, half, config.fill)


def _in_pixels(length: float, config: RandAugment, side: int) -> float:
    """A length of the settings, for a picture whose side has that many pixels."""
    return length * side if config.unit == "sides" else length


def _factor(level: float) -> float:
    return 0.1 + 1.8 * level


OPERATIONS: Mapping[str, Operation] = {
    "AutoContrast": _fixed(auto_contrast),
    "Equalize": _fixed(equalize),
    "Invert": _fixed(invert),
    "Rotate": _either_way(rotate, lambda level: 30 * level),
    "Posterize": _by(posterize, lambda level: int(4 * level)),
    "Solarize": _by(solarize, lambda level: int(256 * level)),
    "Color": _by(color, _factor),
    "Contrast": _by(contrast, _factor),
    "Brightness": _by(brightness, _factor),
    "Sharpness": _by(sharpness, _factor),
    "ShearX": _either_way(shear_x, lambda level: 0.3 * level),
    "ShearY": _either_way(shear_y, lambda level: 0.3 * level),
    "TranslateX": _along(translate_x, axis=1),
    "TranslateY": _along(translate_y, axis=0),
    "Cutout": _cut_out,
    "SolarizeAdd": _by(solarize_add, lambda level: int(110 * level)),
}
