"""Pictures: from files to features, random for training and the same every time for evaluation.

This is what every modality has: `AugmentConfig`, `read`, `training_features`, `evaluation_features`, `normalize`,
`num_coordinates`, `mixes` and `mixed`. NumPy and OpenCV alone, for processes that need no JAX.
"""

import numpy as np
from jaxtyping import Float32, UInt8

from perceiver_jax import readers
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.image import affine, mix, randaugment
from perceiver_jax.modalities.image.config import Affine, AugmentConfig, Inception, MixupCutmix, NoAugment
from perceiver_jax.modalities.image.crop import centre_box, coordinates, cut, random_box, resize
from perceiver_jax.readers import pictures

__all__ = ["AugmentConfig"]

Augment = NoAugment | Affine | Inception
Picture = UInt8[np.ndarray, "H W C"]
Features = UInt8[np.ndarray, "h w F"] | Float32[np.ndarray, "h w F"]


def read(picture: bytes | Picture, name: str, shape: tuple[int, ...]) -> Picture:
    """The picture that a data set gives, as a file's bytes or as it is, whatever the inputs' `shape`.

    Raises Failure(DATA) with its name where the bytes are no picture.
    """
    del shape  # for modalities whose files can be read to more or less of a length
    if not isinstance(picture, bytes):
        return picture
    with readers.named("picture", name):
        return pictures.decode(picture)


def training_features(picture: Picture, config: Augment, shape: tuple[int, ...], rng: np.random.Generator) -> Features:
    """What a picture is trained on: as `shape`, and its pixels' coordinates if asked for. All chance comes from `rng`."""
    if not isinstance(config, Inception):
        same = _of_shape(picture, shape)
        return affine.random_warp(same, config, rng) if isinstance(config, Affine) else same
    whole = picture.shape[:2]
    box = random_box(whole, config.crop, rng) or centre_box(whole, config.evaluation_crop)
    flip = bool(rng.random() < config.flip_probability)
    part = cut(picture, box, flip)
    if config.randaugment is not None:
        part = randaugment.random_operations(part, config.randaugment, rng)
    features = resize(part, shape[:2])
    # RandAugment's moves leave the coordinates alone: a pixel says where it would have been seen.
    return _placed(features, coordinates(whole, box, shape[:2], flip)) if num_coordinates(config) else features


def evaluation_features(picture: Picture, config: Augment, shape: tuple[int, ...]) -> Features:
    """What is evaluated of a picture: as `shape`, its centre if sizes vary, and coordinates if asked for."""
    if not isinstance(config, Inception):
        return _of_shape(picture, shape)
    whole = picture.shape[:2]
    box = centre_box(whole, config.evaluation_crop)
    features = resize(cut(picture, box), shape[:2])
    return _placed(features, coordinates(whole, box, shape[:2])) if num_coordinates(config) else features


def num_coordinates(config: Augment) -> int:
    """How many channels at the end of each pixel's features say where it was in the whole picture: 2 (y, x), or none."""
    return 2 if isinstance(config, Inception) and config.position_frame == "image" else 0


def normalize(
    features: UInt8[np.ndarray, "*B h w F"] | Float32[np.ndarray, "*B h w F"],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Float32[np.ndarray, "*B h w F"]:
    """Features less `mean`, over `std`, per channel; coordinates, the channels after those, stay as they are."""
    *rows, width, channels = features.shape
    extra = channels - len(mean)
    # Row by row: NumPy takes four times as long over pixels of three channels.
    result = features.reshape(*rows, width * channels) - np.tile(np.array((*mean, *[0] * extra), np.float32), width)
    result /= np.tile(np.array((*std, *[1] * extra), np.float32), width)
    return result.reshape(features.shape)


def mixes(config: Augment) -> bool:
    """Whether each slot of a training batch is made of two examples."""
    return isinstance(config, Inception) and isinstance(config.mix, MixupCutmix)


def mixed(
    first: Features, second: Features, config: Inception, slot: int, rng: np.random.Generator
) -> tuple[Features, float]:
    """One picture out of two, for a slot of the global batch, and the portion of it that is the first's."""
    return mix.mixed(first, second, config.mix, slot, rng)


def _of_shape(picture: Picture, shape: tuple[int, ...]) -> Picture:
    """The picture itself, which must fit the inputs; for a model of grey ones, its grey."""
    if (shape[-1], picture.shape[-1]) == (1, 3):
        picture = np.rint(picture @ randaugment.GREY[:, None]).astype(np.uint8)
    if picture.shape != shape:
        found, expected = ("x".join(map(str, size)) for size in (picture.shape, shape))
        hint = 'augment.kind "inception" crops and resizes: see configs/imagenet.py'
        raise Failure(Code.CONFIG, "a picture is not of the inputs' size", found=found, expected=expected, hint=hint)
    return picture


def _placed(features: Float32[np.ndarray, "h w C"], places: Float32[np.ndarray, "h w 2"]) -> Float32[np.ndarray, "h w F"]:
    return np.concatenate([features, places], axis=-1)
