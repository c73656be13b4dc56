"""A folder of pictures, a folder a class: anyone's own data, laid out as `data.class_folders` says."""

import os
from typing import Annotated, Literal

from pydantic import Field

from perceiver_jax.data import class_folders
from perceiver_jax.data.class_folders import Folder, Kind
from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.section import Count, Tiny

PICTURES = Kind((".jpg", ".jpeg", ".png"), "pictures", "JPEG or PNG files", "*.jpg")


class Config(DataConfig):
    """Where the folder is, how it is split and the size of the pictures that the model sees."""

    source: Literal["image_folder"]
    data_dir: str
    image_size: Annotated[Count, Tiny(32)]  # pixels a side of the square inputs
    test_percent: Annotated[float, Field(gt=0, lt=100)]  # held out by a hash of each name, in a folder without a test folder


class Pictures:
    """Random access to the pictures of a split: `[i]` is {"image": bytes of a file, "label": int, "name": path}."""

    def __init__(self, folder: Folder, split: str):
        self._root, self._pictures = str(folder.root), folder.splits[split]

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> dict[str, bytes | int | str]:
        name, label = self._pictures[index]
        path = os.path.join(self._root, name)
        return {"image": class_folders.read_file(path, "picture"), "label": label, "name": path}


def spec(config: Config) -> Spec:
    """What the folder's names say. Mean and std are those of ImageNet's photographs.

    Of a folder that is not there yet, what `class_folders.known` puts in its place; `load` then says that it is absent.

    Raises Failure(DATA) where the names make no data set.
    """
    classes, num_examples = class_folders.known(config.data_dir, config.test_percent, PICTURES)
    return Spec(
        modality="image",
        shape=(config.image_size, config.image_size, 3),
        classes=classes,
        num_examples=num_examples,
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        baselines={},
    )


def identity(config: Config) -> str:
    """The SHA-256 of the names and sizes of all pictures."""
    return _folder(config).identity


def load(config: Config, split: Literal["train", "test"]) -> Pictures:
    """The pictures of a split, mixed in the same way everywhere."""
    return Pictures(_folder(config), split)


def _folder(config: Config) -> Folder:
    return class_folders.list_folder(class_folders.root_of(config.data_dir), config.test_percent, PICTURES)
