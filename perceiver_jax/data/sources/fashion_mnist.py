"""Fashion-MNIST: 70,000 grey 28 x 28 pictures of clothes in 10 classes, as Debian's package dataset-fashion-mnist has it.

Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747; MIT licence.
"""

import functools
import gzip
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.data.sources import ArrayExamples, Contents, files_sha256
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.image import ImageStream, grey_pictures

FILES = {"train": "train", "test": "t10k"}  # what the names of each split's two files begin with
CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
MAX_BYTES = 60_000_000  # unpacked; the largest of the files has 47 million
BYTES = 8  # the code of IDX for numbers from 0 to 255


class Config(DirectoryConfig):
    """`data_dir` holds the four files."""

    kind: Literal["fashion_mnist"]


class FashionMnist:
    """The official split.

    Baselines: the best of each kind in table 3 of the paper, and from its repository a network of two convolutions.
    """

    Config = Config

    def __init__(self, config: Config):
        self._folder = Path(config.data_dir)

    def streams(self) -> tuple[ImageStream]:
        """One grey picture."""
        return (grey_pictures((28, 28), mean=72.94, std=90.021),)

    def contents(self) -> Contents:
        """Ten classes of clothes."""
        return Contents(
            classes=CLASSES,
            num_examples={"train": 60_000, "test": 10_000},
            baselines={"two convolutions": 0.876, "SVM": 0.897, "logistic regression": 0.842},
        )

    def identity(self) -> str:
        """The SHA-256 of each of the four files. Raises Failure(DATA) where one is absent."""
        return files_sha256(*(_existing(path) for split in FILES for path in self._paths(split)))

    def load(self, split: Literal["train", "test"]) -> ArrayExamples:
        """The examples of a split, as they are in its files.

        Raises Failure(DATA) where one is absent, damaged, or not what its name says.
        """
        images, labels = self._paths(split)
        found, classes = read_idx(images, 3), read_idx(labels, 1)
        if len(found) != len(classes):
            raise Failure(Code.DATA, f"{len(found)} pictures and {len(classes)} labels", f"{images} and {labels}")
        *_, rows, columns = found.shape
        if (rows, columns) != (28, 28) or classes.max(initial=0) > 9:
            what = f"pictures of {rows} x {columns}, labels up to {classes.max(initial=0)}"
            raise Failure(Code.DATA, "is not Fashion-MNIST", f"{images}", found=what, expected="28 x 28 and 9")
        return ArrayExamples(found[..., None], classes)

    def _paths(self, split: str) -> tuple[Path, Path]:
        """The files of a split: pictures, labels."""
        name = FILES[split]
        return self._folder / f"{name}-images-idx3-ubyte.gz", self._folder / f"{name}-labels-idx1-ubyte.gz"


@functools.cache
def read_idx(path: Path, num_axes: int) -> UInt8[np.ndarray, "*shape"]:
    """The array of bytes in a gzipped IDX file, read-only: magic number, length of each axis, values.

    Raises Failure(DATA) where the file is absent, damaged (gzip has a checksum) or holds anything else.
    """
    try:
        with gzip.open(_existing(path)) as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Failure(Code.DATA, "cannot read", f"{path}", found=str(error), hint=_INSTALL) from None
    if len(content) > MAX_BYTES:
        raise Failure(Code.DATA, "unpacks to too much", f"{path}", expected=f"at most {MAX_BYTES:,} bytes", hint=_INSTALL)
    start = 4 * (1 + num_axes)
    magic, *shape = struct.unpack(f">{1 + num_axes}I", content[:start].ljust(start, b"\0"))
    expected = BYTES << 8 | num_axes
    if magic != expected:
        found, wanted = f"{magic:#010x}", f"{expected:#010x}"
        raise Failure(Code.DATA, "is not an IDX file of this kind", f"{path}", found=found, expected=wanted)
    size = start + int(np.prod(shape, dtype=object))
    if len(content) != size:
        found, wanted = f"{len(content):,} bytes", f"{size:,}, as its header says"
        raise Failure(Code.DATA, "has the wrong length", f"{path}", found=found, expected=wanted, hint=_INSTALL)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


_INSTALL = "apt-get install dataset-fashion-mnist, or its files in another data.data_dir"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise Failure(Code.DATA, "data set fashion_mnist not found", f"{path}", hint=_INSTALL)
    return path


MEMBER = FashionMnist
