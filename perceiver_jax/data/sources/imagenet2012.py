"""ImageNet (ILSVRC-2012): 1.28 million photographs of 1,000 classes, as `scripts.prepare_imagenet` or TFDS prepares them.

Any tree of TensorFlow Datasets is read whose files are array_record, of any version 5; TensorFlow is not needed.
"""

import bisect
import functools
import itertools
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.data.sources import package_file
from perceiver_jax.errors import Code, Failure
from perceiver_jax.section import Count, Tiny

if TYPE_CHECKING:
    from array_record.python.array_record_data_source import FileInstruction

PUBLISHED = {"train": 1_281_167, "test": 50_000}
TFDS_SPLITS = {"train": "train", "test": "validation"}
_FORMAT = "array_record"


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
    tree = _find(config)
    return Spec(
        modality="image",
        shape=(config.image_size, config.image_size, 3),
        classes=synsets(),
        num_examples={split: tree.length(split) for split in PUBLISHED} if tree and tree.partial else PUBLISHED,
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
    """A text that changes when the contents of the data set do: of its metadata, shards' names and sizes, recorded sums.

    Raises Failure(DATA) where it is not there.
    """
    tree = _required(config, "train")
    sizes = {path.name: path.stat().st_size for path in sorted(tree.folder.glob(f"*{_FORMAT}*"))}
    return json.dumps([config.source, tree.info["splits"], sizes, tree.shards], sort_keys=True)


def load(config: Config, split: Literal["train", "test"]) -> "EncodedPictures":
    """The pictures of a split, still encoded, and their labels.

    Raises Failure(DATA), with the command that helps, where the data set is missing, unfinished, in another file format,
    damaged, or less than the whole without being recorded as a subset.
    """
    tree = _required(config, split)
    length = tree.length(split)
    if length != PUBLISHED[split] and not tree.partial:
        found, expected = f"{length:,} examples", f"{PUBLISHED[split]:,}, or a subset made with --allow_partial"
        raise _missing(config, split, tree.folder, found=found, expected=expected)
    from tensorflow_datasets.core import dataset_info, naming, splits

    # Not its builder: that knows one file format, also of a tree that was converted in place and has two.
    info = dataset_info.read_proto_from_builder_dir(tree.folder)
    template = naming.ShardedFileTemplate(data_dir=tree.folder, dataset_name=info.name, filetype_suffix=_FORMAT)
    by_name = splits.SplitDict.from_proto(repeated_split_infos=info.splits, filename_template=template)
    instructions = by_name[TFDS_SPLITS[split]].file_instructions
    for instruction in instructions:
        path = Path(instruction.filename)
        size = path.stat().st_size if path.is_file() else None
        recorded = tree.shards[path.name]["size"] if path.name in tree.shards else size or None
        if size is None or size != recorded:
            found = "missing" if size is None else f"{size:,} bytes" + (f", recorded {recorded:,}" if recorded else "")
            hint = f"restore it from a copy, or remove {tree.folder} and prepare again: {_command(config)}"
            raise Failure(Code.DATA, f"damaged shard {path.name}", f"{tree.folder}", found=found, hint=hint)
    return EncodedPictures(instructions)


class EncodedPictures:
    """Random access: `[i]` is {"image": the bytes of a JPEG file, "label": int, "name": where it is, for messages}.

    Can be pickled, for worker processes.
    """

    def __init__(self, instructions: "list[FileInstruction]"):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._instructions = instructions
        self._ends = list(itertools.accumulate(instruction.take for instruction in instructions))
        self._records = ArrayRecordDataSource(instructions)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, bytes | int | str]:
        image, label, key = self._fields(index)
        if not 0 <= label < len(synsets()):
            raise self._wrong(index, f"label {label} not in 0..{len(synsets()) - 1}", key)
        return {"image": image, "label": label, "name": self._place(index, key)}

    def _fields(self, index: int) -> tuple[bytes, int, str]:
        """One example's encoded picture, label and file name; raises Failure(DATA) where they are not there."""
        from google.protobuf.message import DecodeError
        from tensorflow_datasets.proto import tf_example_pb2

        try:
            record = self._records[index]
        except Exception as error:  # noqa: BLE001 the reader raises many kinds for damaged files
            raise self._wrong(index, f"cannot be read: {str(error).partition(chr(10))[0]}") from None
        try:
            feature = tf_example_pb2.Example.FromString(record).features.feature
        except DecodeError:
            raise self._wrong(index, "is no tf.Example") from None
        values = {
            "file_name": feature["file_name"].bytes_list.value,
            "image": feature["image"].bytes_list.value,
            "label": feature["label"].int64_list.value,
        }
        for name, value in values.items():
            if len(value) != 1:
                raise self._wrong(index, f"{len(value)} values of {name}, expected 1")
        return values["image"][0], values["label"][0], values["file_name"][0].decode(errors="backslashreplace")

    def _wrong(self, index: int, what: str, key: str = "unknown") -> Failure:
        hint = "restore that file from a copy, or prepare the data set again"
        return Failure(Code.DATA, f"{self._place(index, key)}: {what}", self._at(index)[0].filename, hint=hint)

    def _at(self, index: int) -> "tuple[FileInstruction, int, int]":
        """The file of an example, the file's number and the example's in it."""
        number = bisect.bisect_right(self._ends, index)
        instruction = self._instructions[number]
        return instruction, number, instruction.skip + index - (self._ends[number] - instruction.take)

    def _place(self, index: int, key: str) -> str:
        _, number, record = self._at(index)
        return f"shard {number:05} record {record} (key {key})"


class _Tree:
    """A prepared data set: its folder and what is written about it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.info = _read_json(folder / "dataset_info.json")
        self.formats = [self.info["fileFormat"]]
        if "alternativeFileFormats" in self.info:  # what a conversion in place has added
            self.formats += self.info["alternativeFileFormats"]
        ours = folder / "preparation.json"
        manifest = _read_json(ours) if ours.is_file() else {"partial": False, "shards": {}}
        self.partial: bool = manifest["partial"]
        self.shards: Mapping[str, Any] = manifest["shards"]  # size and SHA-256 by name, of a tree of our own

    def length(self, split: str) -> int:
        """The examples of a split; 0 where it is not there."""
        splits = [entry for entry in self.info["splits"] if entry["name"] == TFDS_SPLITS[split]]
        return sum(int(length) for entry in splits for length in entry["shardLengths"])


def _find(config: Config) -> _Tree | None:
    """The newest version that is finished."""
    parent = Path(config.data_dir).expanduser() / config.source
    versions = {tuple(map(int, m[0].split("."))): path for path in parent.glob("5.*") if (m := _is_version(path))}
    finished = {version: path for version, path in versions.items() if (path / "dataset_info.json").is_file()}
    if len(finished) > 1:
        _tell_choice(finished[max(finished)])
    return _Tree(finished[max(finished)]) if finished else None


def _is_version(path: Path) -> re.Match | None:
    return re.fullmatch(r"5\.\d+\.\d+", path.name)


@functools.cache
def _tell_choice(path: Path) -> None:
    print(f"several versions in {path.parent}: using {path.name}", file=sys.stderr)


def _required(config: Config, split: str) -> _Tree:
    """The tree to read; raises Failure(DATA) where there is none, or none that can be read."""
    tree = _find(config)
    if tree is None:
        folder = Path(config.data_dir).expanduser() / config.source
        unfinished = any(folder.glob("5.*"))
        raise _missing(config, split, folder, found="preparation not finished" if unfinished else "not prepared")
    if _FORMAT not in tree.formats:
        convert = f"tfds convert_format --dataset_version_dir={tree.folder} --out_file_format={_FORMAT}"
        hint = f"{convert} (it needs TensorFlow), or from the archives: {_command(config)} with another --data_dir"
        raise Failure(
            Code.DATA, f"data set {config.source} in another file format", f"{tree.folder}",
            found=", ".join(tree.formats), expected=_FORMAT, hint=hint,
        )  # fmt: skip
    return tree


def _missing(config: Config, split: str, folder: Path, found: str, expected: str = "") -> Failure:
    what = f"data set {config.source}, split {split}"
    return Failure(Code.DATA, what, f"{folder}", found=found, expected=expected, hint=_command(config))


def _command(config: Config) -> str:
    return f"python -m scripts.prepare_imagenet --source=DIR --data_dir={config.data_dir}"


def _read_json(path: Path) -> Any:
    """What a JSON file holds; raises Failure(DATA), naming the line, for one that is damaged."""
    return _parsed(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _parsed(path: Path, stamp: int) -> Any:
    del stamp  # a changed file is another key
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        hint = "prepare the data set again"
        raise Failure(Code.DATA, f"{path.name}: not JSON at line {error.lineno}", f"{path.parent}", hint=hint) from None
    except (OSError, ValueError) as error:
        raise Failure(Code.DATA, f"{path.name}: cannot be read", f"{path.parent}", found=str(error)) from None
