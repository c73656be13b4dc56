"""ImageNet (ILSVRC-2012): 1.28 million photographs of 1,000 classes, as `scripts.prepare_imagenet` or TFDS prepares them.

Any tree of TensorFlow Datasets is read whose files are array_record, of any version 5; TensorFlow is not needed.
"""

import functools
from pathlib import Path
from typing import Annotated, Literal

from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.data.prepared import Prepared, Records
from perceiver_jax.data.sources import Contents, Example, package_file
from perceiver_jax.modalities.image import ImageStream
from perceiver_jax.section import Count, Tiny

PUBLISHED = {"train": 1_281_167, "test": 50_000}
TFDS_SPLITS = {"train": "train", "test": "validation"}


class Config(DirectoryConfig):
    """The size of the pictures that the model sees; `data_dir` holds imagenet2012/<version>/."""

    kind: Literal["imagenet2012"]
    image_size: Annotated[Count, Tiny(32)]  # pixels a side of the square crop


class ImageNet:
    """The split `test` is ImageNet's public validation set, on which papers report: its own test labels are secret.

    Mean and std are the usual ones of the train split, pixels from 0 to 255. The numbers of examples are the published
    ones, also where no data are; of a subset that was prepared as such, its own.
    """

    Config = Config

    def __init__(self, config: Config):
        self.config = config
        self._prepared = Prepared(config.kind, config.data_dir, 5, TFDS_SPLITS, "scripts.prepare_imagenet")

    def streams(self) -> tuple[ImageStream]:
        """One photograph, its pixels as they are stored: so the authors trained, and evaluate all who report on it."""
        side = self.config.image_size
        return (photographs((side, side), upright=False),)

    def contents(self) -> Contents:
        """The 1,000 classes in the order of their labels."""
        tree = self._prepared.find()
        of_subset = tree is not None and tree.partial
        sizes = {split: tree.length(name) for split, name in TFDS_SPLITS.items()} if of_subset else PUBLISHED
        return Contents(classes=synsets(), num_examples=sizes)

    def identity(self) -> str:
        """A text that changes when the contents of the data set do; raises Failure(DATA) where it is missing."""
        return self._prepared.identity()

    def load(self, split: Literal["train", "test"]) -> "EncodedPictures":
        """The pictures of a split, still encoded, and their labels.

        Raises Failure(DATA), with the command that helps, where the data set is missing, unfinished, in another file
        format, damaged, or less than the whole without being recorded as a subset.
        """
        instructions = self._prepared.open(split, PUBLISHED[split])
        return EncodedPictures(Records(instructions, ["image"], "file_name", len(synsets())))


def photographs(grid: tuple[int, int], upright: bool) -> ImageStream:
    """The stream `image` of pictures in colour, with the mean and standard deviation of ImageNet's."""
    return ImageStream(
        name="image",
        modality="image",
        grid=grid,
        channels=3,
        masked=False,
        upright=upright,
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    )


@functools.cache
def synsets() -> tuple[str, ...]:
    """The 1,000 classes in the order of their labels."""
    return tuple(published_file("labels.txt").read_text().split())


def published_file(name: str) -> Path:
    """A file that TFDS has beside its own builder of the data set."""
    return package_file("imagenet2012", "tensorflow_datasets", "tensorflow-datasets", f"datasets/imagenet2012/{name}")


class EncodedPictures:
    """Random access: the stream `image` is the bytes of a JPEG file."""

    def __init__(self, records: Records):
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        record = self._records[index]
        return Example({"image": record.values["image"]}, record.labels, record.name)

    def labels(self, index: int) -> tuple[int, ...]:
        """The one class of an example; its record is read for it."""
        return self._records.labels(index)


MEMBER = ImageNet
