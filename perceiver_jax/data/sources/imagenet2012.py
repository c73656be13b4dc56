"""ImageNet (ILSVRC-2012): 1.28 million photographs of 1,000 classes, as `scripts.prepare_imagenet` or TFDS prepares them.

Any tree of TensorFlow Datasets is read whose files are array_record, of any version 5; TensorFlow is not needed.
"""

import functools
from pathlib import Path
from typing import Annotated, Literal

from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.data.prepared import Prepared, Records
from perceiver_jax.data.sources import package_file
from perceiver_jax.section import Count, Tiny

PUBLISHED = {"train": 1_281_167, "test": 50_000}
TFDS_SPLITS = {"train": "train", "test": "validation"}


class Config(DataConfig):
    """Where the data set lies, and the size of the pictures that the model sees."""

    source: Literal["imagenet2012"]
    data_dir: str  # holds imagenet2012/<version>/
    image_size: Annotated[Count, Tiny(32)]  # pixels a side of the square crop


def spec(config: Config) -> Spec:
    """The split `test` is ImageNet's public validation set, on which papers report: its own test labels are secret.

    Mean and std are the usual ones of the train split, pixels from 0 to 255. The numbers of examples are the published
    ones, also where no data are; of a subset that was prepared as such, its own.
    """
    tree = _prepared(config).find()
    of_subset = tree is not None and tree.partial
    return Spec(
        modality="image",
        shape=(config.image_size, config.image_size, 3),
        classes=synsets(),
        num_examples={split: tree.length(name) for split, name in TFDS_SPLITS.items()} if of_subset else PUBLISHED,
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        baselines={},
    )


@functools.cache
def synsets() -> tuple[str, ...]:
    """The 1,000 classes in the order of their labels."""
    return tuple(published_file("labels.txt").read_text().split())


def published_file(name: str) -> Path:
    """A file that TFDS has beside its own builder of the data set."""
    return package_file("imagenet2012", "tensorflow_datasets", "tensorflow-datasets", f"datasets/imagenet2012/{name}")


def identity(config: Config) -> str:
    """A text that changes when the contents of the data set do.

    Raises Failure(DATA) where it is not there.
    """
    return _prepared(config).identity()


def load(config: Config, split: Literal["train", "test"]) -> "EncodedPictures":
    """The pictures of a split, still encoded, and their labels.

    Raises Failure(DATA), with the command that helps, where the data set is missing, unfinished, in another file format,
    damaged, or less than the whole without being recorded as a subset.
    """
    return EncodedPictures(Records(_prepared(config).open(split, PUBLISHED[split]), "image", "file_name", len(synsets())))


class EncodedPictures:
    """Random access: `[i]` is {"image": the bytes of a JPEG file, "label": int, "name": where it is, for messages}."""

    def __init__(self, records: Records):
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, bytes | int | str]:
        record = self._records[index]
        return {"image": record.data, "label": record.label, "name": record.name}


def _prepared(config: Config) -> Prepared:
    return Prepared(config.source, config.data_dir, 5, TFDS_SPLITS, "scripts.prepare_imagenet")
