"""Data sets, one file each, whose MEMBER is a class with what `Source` lists.

What sources of few files share is here too.
"""

import dataclasses
import functools
import importlib.util
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer, UInt8

from perceiver_jax.data.config import DataConfig
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import Stream
from perceiver_jax.system.disk import sha256


class Example(NamedTuple):
    """One example as a source has it."""

    inputs: Mapping[str, Any]  # by stream: the raw values, or a file's bytes
    labels: tuple[int, ...]  # its classes; a task of single labels needs one
    name: str | None = None  # what it is called in messages; None: its number


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a source holds, known without reading all of it."""

    classes: tuple[str, ...]  # their names, in the order of their numbers
    num_examples: Mapping[str, int]  # by split, as published: no validation split taken from train yet
    baselines: Mapping[str, float] = dataclasses.field(default_factory=dict)  # scores of simple models on the test split
    left_out: tuple[str, ...] = ()  # names of files that could not be read when they were checked


@runtime_checkable
class Examples(Protocol):
    """Random access to the examples of a published split. Can be pickled, for worker processes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...

    def labels(self, index: int) -> tuple[int, ...]:
        """The classes of an example, without its inputs."""


@runtime_checkable
class Source(Protocol):
    """A data set, as a config describes it."""

    Config: ClassVar[type[DataConfig]]

    def __init__(self, config: Any): ...

    def streams(self) -> tuple[Stream, ...]:
        """The streams of every example; a function of the config alone."""

    def contents(self) -> Contents:
        """What the data set holds; may list files. Raises Failure(DATA) where it is missing."""

    def identity(self) -> str:
        """A text that changes when the contents do; raises Failure(DATA) where they are missing."""

    def load(self, split: str) -> Examples:
        """The examples of a published split, in its order; raises Failure(DATA) where they cannot be read."""


class ArrayExamples:
    """Random access to pictures held in memory, as the stream `image`: uint8 (H, W, C)."""

    def __init__(self, images: UInt8[np.ndarray, "examples H W C"], labels: Integer[np.ndarray, " examples"]):
        self.images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Example:
        return Example({"image": self.images[index]}, self.labels(index))

    def labels(self, index: int) -> tuple[int, ...]:
        """The one class of an example."""
        return (int(self._labels[index]),)


def package_file(data_set: str, package: str, distribution: str, name: str) -> Path:
    """The file `name` inside an installed package, which is not imported: that can take seconds.

    Raises Failure(DATA) where the package is absent.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        what = f"data set {data_set} needs the package {distribution}"
        raise Failure(Code.DATA, what, hint="pip install -e .[examples]")
    return Path(found.submodule_search_locations[0], name)


def files_sha256(*paths: Path) -> str:
    """The SHA-256 of some files, each by itself; raises Failure(DATA) where one cannot be read."""
    try:
        return " ".join(sha256(path) for path in paths)
    except OSError as error:
        raise Failure(Code.DATA, "cannot read", f"{error.filename}", found=f"{error.strerror}") from None


@functools.cache
def read_csv(path: Path) -> UInt8[np.ndarray, "rows columns"]:
    """The numbers 0 to 255 of a gzipped file of comma-separated rows, read-only.

    Raises Failure(DATA) where the file is absent, damaged (gzip has a checksum) or holds anything else.
    """
    try:
        rows = np.loadtxt(path, dtype=np.uint8, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise Failure(Code.DATA, "cannot read", f"{path}", found=str(error), hint="install its package again") from None
    rows.flags.writeable = False
    return rows
