"""The path of a photograph from its file to the inputs: ours, a plain loop with Pillow doing the same, decoding alone."""

import dataclasses
import functools
import io
from collections.abc import Callable

import numpy as np

from configs import imagenet
from perceiver_jax.modalities import image
from perceiver_jax.modalities.image.config import MAX_MAGNITUDE, RandAugment
from perceiver_jax.modalities.image.crop import centre_box, random_box
from perceiver_jax.readers import pictures
from perceiver_jax.settings.config import parse
from scripts.benchmark.process import Built

WIDTH, HEIGHT, QUALITY = 500, 375, 90  # of ImageNet's usual photograph
COUNT = 32  # photographs that one step reads


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The training path of the ImageNet config on one core: `ours`, `pillow`, or `decode`, the ceiling of both."""

    name: str

    def __call__(self) -> Built:
        """Itself, its photographs in memory."""
        files, modality = photographs(), parse(imagenet.get_config()).modalities["image"]
        path = {"ours": ours, "pillow": pillow, "decode": lambda file, *_: pictures.decode(file, upright=False)}[self.name]

        def step() -> None:
            for place, file in enumerate(files):
                path(file, modality, np.random.default_rng((0, 0, place)))

        return Built(step, {"examples": len(files)})


def photographs() -> list[bytes]:
    """JPEG files of the usual size, cut from the two photographs that come with scikit-learn."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    files, rng = [], np.random.default_rng(0)
    for whole in (Image.fromarray(array) for array in load_sample_images().images):
        for _ in range(COUNT // 2):
            width = int(rng.integers(WIDTH, whole.width))
            height = width * HEIGHT // WIDTH
            left, top = (int(rng.integers(room + 1)) for room in (whole.width - width, max(0, whole.height - height)))
            box = (left, top, left + width, min(whole.height, top + height))
            file = io.BytesIO()
            whole.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box).save(file, "JPEG", quality=QUALITY)
            files.append(file.getvalue())
    return files


def ours(file: bytes, modality: image.Image, rng: np.random.Generator) -> np.ndarray:
    return modality.normalize(modality.training(modality.read(file, "photograph"), rng))


def pillow(file: bytes, modality: image.Image, rng: np.random.Generator) -> np.ndarray:
    """The same crop, flip and kind of operations, all by Pillow."""
    from PIL import Image, ImageOps

    config, stream = modality.augment, modality.stream
    picture = Image.open(io.BytesIO(file)).convert("RGB")
    whole = picture.size[::-1]
    box = random_box(whole, config.crop, stream.grid, rng) or centre_box(whole, config.evaluation_crop, stream.grid)
    top, left, height, width = box
    picture = picture.crop((left, top, left + width, top + height))
    if rng.random() < config.flip_probability:
        picture = ImageOps.mirror(picture)
    operations = pillow_operations(config.randaugment)
    for _ in range(config.randaugment.num_layers):
        picture = operations[rng.integers(len(operations))](picture, 1 - 2 * int(rng.integers(2)))
    picture = picture.resize(stream.grid[::-1], Image.Resampling.BICUBIC)
    return ((np.asarray(picture, np.float32) - stream.mean) / stream.std).astype(np.float32)


@functools.cache
def pillow_operations(config: RandAugment) -> tuple[Callable, ...]:
    """RandAugment's sixteen, each of a picture and a sign."""
    from PIL import Image, ImageDraw, ImageEnhance, ImageOps

    level, fill = config.magnitude / MAX_MAGNITUDE, (config.fill,) * 3
    factor, pixels = 0.1 + 1.8 * level, config.translate * level

    def moved(*matrix: float) -> Callable:
        def move(picture, sign: int):
            own = tuple(a if at in (0, 4) else sign * a for at, a in enumerate(matrix))
            return picture.transform(picture.size, Image.Transform.AFFINE, own, Image.Resampling.NEAREST, fillcolor=fill)

        return move

    def cut_out(picture, sign: int):
        half, (x, y) = int(level * config.cutout), (side // 2 for side in picture.size)
        ImageDraw.Draw(picture).rectangle((x - half, y - half, x + half - 1, y + half - 1), fill)
        return picture

    brighter = [min(255, v + int(110 * level)) if v < 128 else v for v in range(256)] * 3
    return (
        lambda picture, sign: ImageOps.autocontrast(picture),
        lambda picture, sign: ImageOps.equalize(picture),
        lambda picture, sign: ImageOps.invert(picture),
        lambda picture, sign: picture.rotate(sign * 30 * level, Image.Resampling.NEAREST, fillcolor=fill),
        lambda picture, sign: ImageOps.posterize(picture, int(4 * level)),
        lambda picture, sign: ImageOps.solarize(picture, int(256 * level)),
        *(
            lambda picture, sign, kind=kind: kind(picture).enhance(factor)
            for kind in (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)
        ),
        moved(1, 0.3 * level, 0, 0, 1, 0),
        moved(1, 0, 0, 0.3 * level, 1, 0),
        moved(1, 0, pixels, 0, 1, 0),
        moved(1, 0, 0, 0, 1, pixels),
        cut_out,
        lambda picture, sign: picture.point(brighter),
    )
