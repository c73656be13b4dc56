"""Small ImageNets in the layouts of the true one, made of real photographs."""

import functools
import importlib.util
import io
import tarfile
from pathlib import Path

import numpy as np

CLASSES = ("n01440764", "n01443537", "n01484850")
PICTURES = 5  # of each class
VALIDATION = 9


@functools.cache
def photograph(index: int, mode: str = "RGB"):
    """Part of one of scikit-learn's sample pictures as a Pillow image, another for each index; 40 to 100 pixels a side."""
    from PIL import Image

    # Inside scikit-learn's wheel, which takes seconds to import.
    folder = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0], "datasets/images")
    pictures = [np.asarray(Image.open(folder / name)) for name in ("china.jpg", "flower.jpg")]
    rng = np.random.default_rng(index)
    height, width = rng.integers(40, 100, 2)
    y, x = rng.integers(0, 200, 2)
    part = pictures[index % 2][y : y + 2 * height, x : x + 2 * width]
    return Image.fromarray(part).resize((int(width), int(height))).convert(mode)


def encoded(image, kind: str = "JPEG", **options) -> bytes:
    """The bytes of a file of an image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def train_pictures() -> dict[str, bytes]:
    """The train pictures by name."""
    names = [f"{synset}_{i}.JPEG" for synset in CLASSES for i in range(PICTURES)]
    return {name: encoded(photograph(i)) for i, name in enumerate(names)}


def validation_pictures() -> dict[str, bytes]:
    """The validation pictures by name."""
    return {f"ILSVRC2012_val_{i + 1:08}.JPEG": encoded(photograph(100 + i)) for i in range(VALIDATION)}


def tar(members: dict[str, bytes], **options) -> bytes:
    """A tar of files, as GNU tar writes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, **options) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def train_tar(pictures: dict[str, bytes]) -> bytes:
    """The tar of tars that the train pictures come in."""
    inner: dict[str, dict[str, bytes]] = {}
    for name, data in pictures.items():
        inner.setdefault(name[:9], {})[name] = data
    return tar({f"{synset}.tar": tar(members) for synset, members in inner.items()})


def write_archives(folder: Path, train=None, validation=None) -> Path:
    """A folder with the two archives; of all pictures, unless others are given."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ILSVRC2012_img_train.tar").write_bytes(train_tar(train_pictures() if train is None else train))
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar(validation_pictures() if validation is None else validation))
    return folder


def write_folders(folder: Path, flat: bool = True) -> Path:
    """The same as class folders; validation pictures flat, or in folders of their classes."""
    from perceiver_jax.data.preparation.imagenet2012 import validation_synsets

    synsets = validation_synsets()
    places = {f"train/{name[:9]}/{name}": data for name, data in train_pictures().items()}
    for i, (name, data) in enumerate(validation_pictures().items()):
        places["val/" + ("" if flat else f"{synsets[i]}/") + name] = data
    for place, data in places.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    return folder
