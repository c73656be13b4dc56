"""What sources of users' own files share: a folder, where its classes come from, and the files left out of it."""

import functools
import os
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

from pydantic import Field

from perceiver_jax.data import class_folders, label_list
from perceiver_jax.data.class_folders import Folder
from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.data.folder_entries import Kind, root_of
from perceiver_jax.data.sources import Contents, Example
from perceiver_jax.section import HARMLESS


class FolderConfig(DirectoryConfig):
    """Where the folder is, what names the classes of its files, and how it is split."""

    # A CSV file in the folder whose lines are `file,label;label`; None: each class has a folder.
    labels: str | None
    test_percent: Annotated[float, Field(gt=0, lt=100)]  # held out by a hash of each name, where there is no folder `test`
    max_bad: Annotated[int, Field(ge=0), HARMLESS]  # files that may be left out as unreadable when they are checked at first


class FolderSource:
    """A Source from the files of a folder; `read` returns a file's raw input, or its bytes, for each of its `streams`."""

    def __init__(
        self, config: FolderConfig, kind: Kind, streams: Sequence[str], read: Callable[[str], Any], left_out: Collection[str]
    ):
        self.config, self._kind, self._streams, self._read = config, kind, tuple(streams), read
        self._left_out = frozenset(left_out)

    @functools.cached_property
    def _listing(self) -> Folder:
        """The folder's files, less those left out."""
        root, percent = root_of(self.config.data_dir), self.config.test_percent
        if self.config.labels is None:
            listing = class_folders.list_folder(root, percent, self._kind)
        else:
            listing = label_list.list_files(root, self.config.labels, percent, self._kind)
        kept = {
            split: tuple(file for file in files if file[0] not in self._left_out) for split, files in listing.splits.items()
        }
        return listing._replace(splits=kept)

    def contents(self) -> Contents:
        """What the folder's names say; raises Failure(DATA) where it is missing or they do not make a data set."""
        return Contents(self._listing.classes, self._listing.num_examples)

    def identity(self) -> str:
        """The SHA-256 of the names, labels and sizes of all files."""
        return self._listing.identity

    def load(self, split: str) -> "Files":
        """The files of a split, shuffled in the same way everywhere."""
        return Files(self._listing, split, self._streams, self._read)


class Files:
    """Random access to the files of a split; `[i].name` is the file's path."""

    def __init__(self, listing: Folder, split: str, streams: tuple[str, ...], read: Callable[[str], Any]):
        self._root, self._files, self._streams, self._read = str(listing.root), listing.splits[split], streams, read

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Example:
        name, labels = self._files[index]
        path = os.path.join(self._root, name)
        return Example(dict.fromkeys(self._streams, self._read(path)), labels, path)

    def labels(self, index: int) -> tuple[int, ...]:
        """The classes of an example, known without reading its file."""
        return self._files[index][1]

    def file(self, index: int) -> str:
        """The path, relative to the folder, of the file of an example."""
        return self._files[index][0]
