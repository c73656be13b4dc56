"""Data sets as TFDS trees on disk, made by a script of ours or by TFDS: found, checked, read by index.

Any tree is read whose files are array_record; TensorFlow is not needed.
"""

import bisect
import dataclasses
import functools
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perceiver_jax.data.prepared_tree import HEAD, INFO, Tree, head
from perceiver_jax.errors import Code, Failure, printable

if TYPE_CHECKING:
    from array_record.python.array_record_data_source import FileInstruction

_FORMAT = "array_record"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A data set in `data_dir`, as `name`/`version`, perhaps not prepared yet."""

    name: str
    data_dir: str
    major: int  # of the versions that are read
    splits: Mapping[str, str]  # TFDS's names, by ours
    script: str  # prepares it
    arguments: str = "--source=DIR"  # of the script

    @property
    def command(self) -> str:
        """What prepares it, to be typed."""
        return f"python -m {self.script} {self.arguments} --data_dir={self.data_dir}"

    def find(self) -> Tree | None:
        """The newest version that is finished."""
        finished = {
            tuple(map(int, path.name.split("."))): path
            for path in self._candidates()
            if re.fullmatch(r"\d+\.\d+\.\d+", path.name) and (path / INFO).is_file()
        }
        if len(finished) > 1:
            _report_choice(finished[max(finished)])
        return Tree(finished[max(finished)]) if finished else None

    def require(self, split: str) -> Tree:
        """The tree to read a split of; raises Failure(DATA) where there is none, or none that can be read."""
        tree = self.find()
        if tree is None:
            unfinished = any(self._candidates())
            found = "preparation not finished" if unfinished else "not prepared"
            raise self.missing(split, self._folder, found=found)
        if _FORMAT not in tree.formats:
            convert = f"tfds convert_format --dataset_version_dir={tree.folder} --out_file_format={_FORMAT}"
            hint = f"{convert} (it needs TensorFlow), or from the archives: {self.command} with another --data_dir"
            raise Failure(
                Code.DATA, f"data set {self.name} in another file format", f"{tree.folder}",
                found=", ".join(tree.formats), expected=_FORMAT, hint=hint,
            )  # fmt: skip
        return tree

    def identity(self) -> str:
        """A text that changes when the contents do: of the metadata, shards' names and sizes, recorded sums.

        Raises Failure(DATA) where it is missing.
        """
        tree = self.require("train")
        sizes = {path.name: path.stat().st_size for path in sorted(tree.folder.glob(f"*{_FORMAT}*"))}
        # Not their heads: data that were prepared before these were recorded are the same data.
        shards = {name: {key: one[key] for key in one if key != HEAD} for name, one in tree.shards.items()}
        return json.dumps([self.name, tree.info["splits"], sizes, shards], sort_keys=True)

    def open(self, split: str, published: int) -> "list[FileInstruction]":
        """Where the examples of a split are, by which `Records` reads them.

        Raises Failure(DATA), with the command that helps, where the data set is missing, unfinished, in another file
        format, damaged, or less than the published number of examples without being recorded as a subset.
        """
        tree = self.require(split)
        length = tree.length(self.splits[split])
        if length != published and not tree.partial:
            found, expected = f"{length:,} examples", f"{published:,}, or a subset made with --allow_partial"
            raise self.missing(split, tree.folder, found=found, expected=expected)
        instructions = self._instructions(tree, self.splits[split])
        for instruction in instructions:
            self._check_shard(Path(instruction.filename), tree)
        return instructions

    def missing(self, split: str, folder: Path, found: str, expected: str = "") -> Failure:
        """The failure for a split that is missing or incomplete."""
        what = f"data set {self.name}, split {split}"
        return Failure(Code.DATA, what, f"{folder}", found=found, expected=expected, hint=self.command)

    def _instructions(self, tree: Tree, split: str) -> "list[FileInstruction]":
        """Where TFDS says that the examples of a split are; raises Failure(DATA) where it cannot tell."""
        from tensorflow_datasets.core import dataset_info, naming, splits

        try:
            # Not its builder: that knows one file format, also of a tree that was converted in place and has two.
            info = dataset_info.read_proto_from_builder_dir(tree.folder)
            template = naming.ShardedFileTemplate(data_dir=tree.folder, dataset_name=info.name, filetype_suffix=_FORMAT)
            by_name = splits.SplitDict.from_proto(repeated_split_infos=info.splits, filename_template=template)
            return by_name[split].file_instructions
        except Exception as error:  # noqa: BLE001 TFDS raises many kinds for damaged metadata
            found = printable(str(error).strip().partition("\n")[0] or type(error).__name__)
            hint = "restore it from a copy, or prepare the data set again"
            raise Failure(Code.DATA, f"{INFO}: cannot be read", f"{tree.folder}", found=found, hint=hint) from None

    def _check_shard(self, path: Path, tree: Tree) -> None:
        """Raises Failure(DATA) where a shard does not have the size that it was written with, or is another shard."""
        size = path.stat().st_size if path.is_file() else None
        written = tree.shards.get(path.name, {})
        recorded, found = written["size"] if written else size or None, ""
        if size is None or size != recorded:
            found = "missing" if size is None else f"{size:,} bytes" + (f", recorded {recorded:,}" if recorded else "")
        elif HEAD in written and head(path) != written[HEAD]:
            found = "another first record than recorded; perhaps another shard"
        if found:
            hint = f"restore it from a copy, or remove {tree.folder} and prepare again: {self.command}"
            raise Failure(Code.DATA, f"damaged shard {path.name}", f"{tree.folder}", found=found, hint=hint)

    @property
    def _folder(self) -> Path:
        return Path(self.data_dir) / self.name

    def _candidates(self) -> list[Path]:
        """Its versions, finished or not."""
        return list(self._folder.glob(f"{self.major}.*"))


class Record(NamedTuple):
    """One example as it is stored."""

    values: Mapping[str, bytes]  # by feature
    numbers: Mapping[str, float]  # likewise
    labels: tuple[int, ...]
    name: str  # where it is, for messages


class Records:
    """Random access to a split's examples as they are stored. Can be pickled, for worker processes."""

    def __init__(
        self,
        instructions: "list[FileInstruction]",
        features: Sequence[str],
        key: str,
        num_classes: int,
        numbers: Sequence[str] = (),
    ):
        """`features` hold one value of bytes each, `numbers` one number, `key` the example's name, `label` its classes."""
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._instructions, self._features, self._key = instructions, tuple(features), key
        self._numbers = tuple(numbers)
        self._num_classes = num_classes
        self._ends = list(itertools.accumulate(instruction.take for instruction in instructions))
        self._records = ArrayRecordDataSource(instructions)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        values, numbers, labels = self._fields(index)
        key = values.pop(self._key).decode(errors="backslashreplace")
        for label in labels:
            if not 0 <= label < self._num_classes:
                raise self._wrong(index, f"label {label} not in 0..{self._num_classes - 1}", key)
        return Record(values, numbers, labels, self._position(index, key))

    def labels(self, index: int) -> tuple[int, ...]:
        """The classes of an example; raises as `[index]` does."""
        return self[index].labels

    def _fields(self, index: int) -> tuple[dict[str, bytes], dict[str, float], tuple[int, ...]]:
        """One example's features, its key among them, numbers and labels; raises Failure(DATA) where they are missing."""
        from google.protobuf.message import DecodeError
        from tensorflow_datasets.proto import tf_example_pb2

        try:
            record = self._records[index]
        except Exception as error:  # noqa: BLE001 the reader raises many kinds for damaged files
            raise self._wrong(index, f"cannot be read: {str(error).partition(chr(10))[0]}") from None
        try:
            feature = tf_example_pb2.Example.FromString(record).features.feature
        except DecodeError:
            raise self._wrong(index, "is not a tf.Example") from None
        values = {name: feature[name].bytes_list.value for name in (self._key, *self._features)}
        numbers = {name: feature[name].float_list.value for name in self._numbers}
        for name, value in (values | numbers).items():
            if len(value) != 1:
                raise self._wrong(index, f"{len(value)} values of {name}, expected 1")
        labels = tuple(feature["label"].int64_list.value)
        if not labels:
            raise self._wrong(index, "no label")
        first = [{name: value[0] for name, value in each.items()} for each in (values, numbers)]
        return *first, labels

    def _wrong(self, index: int, what: str, key: str = "unknown") -> Failure:
        hint = "restore that file from a copy, or prepare the data set again"
        return Failure(Code.DATA, f"{self._position(index, key)}: {what}", self._at(index)[0].filename, hint=hint)

    def _at(self, index: int) -> "tuple[FileInstruction, int, int]":
        """The file of an example, the file's number and the example's in it."""
        number = bisect.bisect_right(self._ends, index)
        instruction = self._instructions[number]
        return instruction, number, instruction.skip + index - (self._ends[number] - instruction.take)

    def _position(self, index: int, key: str) -> str:
        _, number, record = self._at(index)
        return f"shard {number:05} record {record} (key {key})"


@functools.cache
def _report_choice(path: Path) -> None:
    print(f"several versions in {path.parent}: using {path.name}", file=sys.stderr)
