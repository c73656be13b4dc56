"""What is prepared: items, each a range of a file, and units of them, each of which becomes one shard."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from perceiver_jax.errors import Code, Failure


class Item(NamedTuple):
    """One example's source: a file, or a member of an archive."""

    key: str  # unique in its split
    label: int
    path: str
    offset: int
    size: int
    stamp: int  # modification time of `path` in ns when it was listed


class BadItem(Exception):
    """An item that gives no example: its key, a code for programs, a sentence for people."""

    def __init__(self, key: str, code: str, sentence: str):
        super().__init__(key, code, sentence)
        self.key, self.code, self.sentence = key, code, sentence


class Example(NamedTuple):
    """What an item became."""

    record: bytes
    warnings: tuple[str, ...]  # codes


Convert = Callable[[Item, bytes], Example]  # raises BadItem


class Unit(NamedTuple):
    """The items of one shard, in their order."""

    shard: str  # file name
    split: str
    items: Sequence[Item]

    def fingerprint(self, recipe: str) -> str:
        """The SHA-256 of all that the shard's bytes depend on; `recipe` names how items become records."""
        sources = [(item.key, item.label, item.offset, item.size, item.stamp) for item in self.items]
        return hashlib.sha256(json.dumps([recipe, self.shard, sources]).encode()).hexdigest()


def make_units(name: str, split: str, items: Iterable[Item], num_shards: int) -> list[Unit]:
    """The items in the order and the shards of TFDS: mixed by a hash of their keys, the same on every machine.

    So a part such as `train[:10%]` holds all classes, and the same examples as in a tree that TFDS itself made.
    """
    from tensorflow_datasets.core import hashing, naming
    from tensorflow_datasets.core.utils import shard_utils

    hasher = hashing.Hasher(split)
    ordered = sorted(items, key=lambda item: hasher.hash_key(item.key))
    template = naming.ShardedFileTemplate(data_dir=".", dataset_name=name, split=split, filetype_suffix="array_record")
    units, first = [], 0
    for i, end in enumerate(shard_utils.get_shard_boundaries(len(ordered), num_shards)):
        path = template.sharded_filepath(shard_index=i, num_shards=num_shards)
        units.append(Unit(path.name, split, ordered[first:end]))
        first = end
    return units


def read(item: Item, files: "Files") -> bytes:
    """The bytes of an item. Raises BadItem where its file cannot be read, Failure(DATA) where it has changed."""
    try:
        descriptor = files.open(item.path)
        state = os.fstat(descriptor)
        data = b"" if state.st_mtime_ns != item.stamp else os.pread(descriptor, item.size, item.offset)
    except OSError as error:
        raise BadItem(item.key, "unreadable", f"cannot be read: {os.strerror(error.errno).lower()}") from None
    if state.st_mtime_ns != item.stamp or len(data) != item.size:
        raise Failure(Code.DATA, f"changed while it was read: {item.path}", hint="the same command again, to read it anew")
    return data


class Files:
    """The file that was read last, still open: items of an archive follow each other. Close it by `with`."""

    def __init__(self) -> None:
        self._path, self._descriptor = "", -1

    def open(self, path: str) -> int:
        """A descriptor for reading, valid until the next call."""
        if path != self._path:
            self.close()
            # O_NONBLOCK: a pipe put there since the listing would wait for its writer for ever.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._path = path
        return self._descriptor

    def close(self) -> None:
        """Closes the file that is open, if any."""
        if self._path:
            os.close(self._descriptor)
        self._path = ""

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def skipped(key: str, skip: Mapping[str, tuple[str, str]]) -> None:
    """Raises BadItem for an item that ended the process that decoded it before."""
    if key in skip:
        raise BadItem(key, *skip[key])
