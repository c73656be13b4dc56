"""What is prepared: items, each a range of a file, and units of them, each of which becomes one shard."""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile

CACHE_BYTES = 2**26  # of chunks of an HDF5 file; ModelNet40's arrays have 50 MB
# What h5py raises: OSError and RuntimeError for a damaged file, KeyError for a name whose object is, ValueError and
# TypeError for types and shapes that are none, AttributeError for a group instead of an array.
HDF5_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


class Packed(NamedTuple):
    """How a zip archive holds a member."""

    deflated: bool  # or stored as it is
    size: int  # unpacked
    crc: int


class Row(NamedTuple):
    """A row of an array in an HDF5 file; the item's offset is its number."""

    array: str


class ClipFile(NamedTuple):
    """A file of a clip, or another in which a stream of it may be."""

    name: str  # from the folder of the item
    size: int
    stamp: int  # modification time in ns when it was listed
    part: str  # what it is of the video: `audioset_names` explains


class Clip(NamedTuple):
    """A part in time of a video; its files are opened by what converts it. The item's path is the folder of the first."""

    start: int  # ms
    end: int
    files: tuple[ClipFile, ...]


class Item(NamedTuple):
    """One example's source: a file, a member of an archive, or a row of an array."""

    key: str  # unique in its split
    label: int | tuple[int, ...]
    path: str
    offset: int
    size: int
    stamp: int  # modification time of `path` in ns when it was listed
    form: Packed | Row | Clip | None = None  # None: the item is the range of `path`


class Example(NamedTuple):
    """What an item became."""

    record: bytes
    warnings: tuple[str, ...]  # codes
    content: bytes | None = None  # by which it is known again in another split; None: the bytes of its source


Convert = Callable[[Item, bytes], Example]  # raises BadFile


class Unit(NamedTuple):
    """The items of one shard, in their order."""

    shard: str  # file name
    split: str
    items: Sequence[Item]

    def fingerprint(self, recipe: str) -> str:
        """The SHA-256 of all that the shard's bytes depend on; `recipe` names how items become records."""
        sources = [item[:2] + item[3:6] + (tuple(item.form) if item.form else ()) for item in self.items]  # not the path
        return hashlib.sha256(json.dumps([recipe, self.shard, sources]).encode()).hexdigest()


def make_units(name: str, split: str, items: Iterable[Item], num_shards: int) -> list[Unit]:
    """The items in the order and the shards of TFDS: shuffled by a hash of their keys, the same on every machine.

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


def record(features: Mapping[str, bytes | int | float | tuple[int, ...]]) -> bytes:
    """A tf.Example of these features, always the same bytes."""
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example()
    for name, value in features.items():
        values = value if isinstance(value, tuple) else (value,)
        feature, kind = example.features.feature[name], type(values[0])
        {int: feature.int64_list, float: feature.float_list, bytes: feature.bytes_list}[kind].value.extend(values)
    return example.SerializeToString(deterministic=True)


def read(item: Item, files: "Files") -> bytes:
    """The bytes of an item, none of a clip. Raises BadFile where it cannot be read, Failure(DATA) where it has changed."""
    if isinstance(item.form, Clip):
        return _unchanged(item, item.form)
    try:
        descriptor = files.open(item.path)
        state = os.fstat(descriptor)
        changed = state.st_mtime_ns != item.stamp
        if isinstance(item.form, Row) and not changed:
            return _row(item, item.form.array, files)
        data = b"" if changed else os.pread(descriptor, item.size, item.offset)
    except OSError as error:
        raise _unreadable(error) from None
    if changed or len(data) != item.size:
        raise _changed(item.path)
    return _unpacked(data, item.form) if isinstance(item.form, Packed) else data


def _row(item: Item, array: str, files: "Files") -> bytes:
    """A row of an array in an HDF5 file; raises BadFile."""
    try:
        return files.row(item.path, array, item.offset)
    except HDF5_DAMAGE as error:
        raise BadFile("damaged", f"cannot be read from its HDF5 file: {str(error).partition(chr(10))[0]}") from None


def _unchanged(item: Item, clip: Clip) -> bytes:
    """Looks whether the files of a clip are those that were listed; reads nothing."""
    for file in clip.files:
        path = os.path.join(item.path, file.name)
        try:
            state = os.stat(path)
        except OSError as error:
            raise _unreadable(error) from None
        if (state.st_size, state.st_mtime_ns) != (file.size, file.stamp):
            raise _changed(path)
    return b""


def _unreadable(error: OSError) -> BadFile:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return BadFile("unreadable", f"cannot be read: {reason}")


def _changed(path: str) -> Failure:
    hint = "run the same command again to read it again"
    return Failure(Code.DATA, f"changed while it was read: {path}", hint=hint)


def _unpacked(data: bytes, form: Packed) -> bytes:
    """A member of a zip archive; never more than the size that it claims. Raises BadFile."""
    if form.deflated:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = stream.decompress(data, form.size + 1)
        except zlib.error as error:
            raise BadFile("damaged", f"cannot be unpacked: {error}") from None
    if len(data) != form.size or zlib.crc32(data) != form.crc:
        raise BadFile("damaged", "is not what its archive's checksum says: download it again")
    return data


class Files:
    """The file that was read last, still open: items of an archive follow each other. Close it by `with`."""

    def __init__(self) -> None:
        self._path, self._descriptor = "", -1
        self._arrays: Any = None  # the same file, as h5py knows it

    def open(self, path: str) -> int:
        """A descriptor for reading, valid until the next call."""
        if path != self._path:
            self.close()
            # O_NONBLOCK: a pipe put there since the listing would wait for its writer for ever.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._path = path
        return self._descriptor

    def row(self, path: str, array: str, number: int) -> bytes:
        """A row of an array in the open HDF5 file, as numbers of 32 bits. Raises OSError."""
        import h5py

        if self._arrays is None:  # with a cache for the whole array: its chunks hold pieces of many rows
            self._arrays = h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES)
        return np.asarray(self._arrays[array][number], "<f4").tobytes()

    def close(self) -> None:
        """Closes the file that is open, if any."""
        if self._arrays is not None:
            self._arrays.close()
            self._arrays = None
        if self._path:
            os.close(self._descriptor)
        self._path = ""

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
