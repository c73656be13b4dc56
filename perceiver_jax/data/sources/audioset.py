"""AudioSet: two million clips of 10 seconds, sound and film, of 527 classes, as `scripts.prepare_audioset` prepares them."""

import functools
import sys
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int

from perceiver_jax.data import example_index
from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.data.example_index import Index
from perceiver_jax.data.prepared import Prepared, Records
from perceiver_jax.data.prepared_tree import Tree
from perceiver_jax.data.recorded import RecordedConfig
from perceiver_jax.data.sources import Contents, Example
from perceiver_jax.data.stored_recordings import StoredRecording
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import Stream
from perceiver_jax.system import disk

NUM_CLASSES = 527
LISTED = {"balanced_train": 22_160, "unbalanced_train": 2_041_789, "eval": 20_371}  # clips that the lists name
SUBSETS = {"full": ("balanced_train", "unbalanced_train"), "balanced": ("balanced_train",)}


class Config(RecordedConfig, DirectoryConfig):
    """Which of the training clips, and what a model gets of each; `data_dir` holds audioset/<version>/."""

    kind: Literal["audioset"]
    subset: Literal["full", "balanced"]  # of train; the balanced set has at least 59 clips of each class


class AudioSet:
    """The split `test` is the evaluation set. Clips that have none of the streams asked for are left out.

    Where no data are, the numbers are those of the published lists, and classes have no names.
    """

    Config = Config

    def __init__(self, config: Config):
        self.config = config
        splits = {name: name for name in LISTED}
        arguments = "--segments=CSV,CSV --labels=class_labels_indices.csv --clips=DIR"
        self._prepared = Prepared(config.kind, config.data_dir, 1, splits, "scripts.prepare_audioset", arguments)

    def streams(self) -> tuple[Stream, ...]:
        """The sound, the film or both."""
        return self.config.streams()

    def contents(self) -> Contents:
        """The classes by the names that they were prepared with, and how many clips there are."""
        tree = self._prepared.find()
        if tree is None:
            sizes = {split: sum(LISTED[name] for name in self._names(split)) for split in ("train", "test")}
            return Contents(classes=tuple(f"class {number}" for number in range(NUM_CLASSES)), num_examples=sizes)
        sizes = {}
        for split in ("train", "test"):
            indices = self._indices(tree, split)
            whole = sum(map(len, indices))
            sizes[split] = len(self._having(indices))
            if sizes[split] < whole:
                _report_left_out(split, whole - sizes[split], whole, " and no ".join(self._wanted))
        return Contents(classes=_classes(tree), num_examples=sizes)

    def identity(self) -> str:
        """A text that changes when the contents of the data set do; raises Failure(DATA) where it is missing."""
        return self._prepared.identity()

    def load(self, split: Literal["train", "test"]) -> "Clips":
        """The clips of a split and their labels.

        Raises Failure(DATA), with the command that helps, where the data set is missing, unfinished, damaged, prepared
        without a list that the split needs, or with smaller frames than the config asks for.
        """
        tree = self._prepared.require(split)
        indices = self._indices(tree, split)
        self._check_frames(tree)
        instructions = [one for name in self._names(split) for one in self._prepared.open(name, tree.length(name))]
        records = Records(instructions, example_index.STREAMS, "name", len(_classes(tree)), ["seconds"])
        return Clips(records, indices, self._having(indices), self._wanted)

    @property
    def _wanted(self) -> list[str]:
        """The streams asked for."""
        return [stream.name for stream in self.streams()]

    def _names(self, split: str) -> tuple[str, ...]:
        """TFDS's splits that one of ours is made of."""
        return SUBSETS[self.config.subset] if split == "train" else ("eval",)

    def _indices(self, tree: Tree, split: str) -> list[Index]:
        """What is known of the clips of a split; raises Failure(DATA) where a list was not prepared."""
        there = [name for name in LISTED if tree.length(name)]
        lacking = [name for name in self._names(split) if name not in there]
        if lacking:
            what, found = f"data set audioset, split {split}: prepared without {lacking[0]}", ", ".join(there)
            hint = f"{self._prepared.command} with another --data_dir, and that list among the others"
            if lacking == ["unbalanced_train"]:
                hint = f"--config.data.subset=balanced; or {hint}"
            raise Failure(Code.DATA, what, f"{tree.folder}", found=found, hint=hint)
        return [example_index.read(tree.folder, name, tree.length(name)) for name in self._names(split)]

    def _having(self, indices: list[Index]) -> Int[np.ndarray, " clips"]:
        """The numbers of the clips, of all indices in a row, that have a stream asked for."""
        firsts = np.cumsum([0, *map(len, indices)])
        return np.concatenate([index.having(self._wanted) + first for index, first in zip(indices, firsts, strict=False)])

    def _check_frames(self, tree: Tree) -> None:
        side, needed = tree.number("frame_side"), 0 if self.config.video is None else min(self.config.video.size)
        if side is not None and side < needed:
            what = f"prepared with frames of {side} pixels, config needs {needed}"
            hint = f"a smaller data.video.size, or {self._prepared.command} --frame_side=256 with another --data_dir"
            raise Failure(Code.DATA, what, f"{tree.folder}", hint=hint)


class Clips:
    """Random access: all streams are the same `Recording`, of which a part is read."""

    def __init__(self, records: Records, indices: list[Index], numbers: Int[np.ndarray, " clips"], streams: Sequence[str]):
        self._records, self._indices, self._numbers, self._streams = records, indices, numbers, tuple(streams)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Example:
        record = self._records[int(self._numbers[index])]
        audio, video = (record.values[name] for name in example_index.STREAMS)
        recording = StoredRecording(audio, video, record.numbers["seconds"], record.name)
        return Example(dict.fromkeys(self._streams, recording), record.labels, record.name)

    def labels(self, index: int) -> tuple[int, ...]:
        """The classes of a clip, known without reading it."""
        number = int(self._numbers[index])
        for one in self._indices:
            if number < len(one):
                return one.labels(number)
            number -= len(one)
        raise IndexError(index)


def _classes(tree: Tree) -> tuple[str, ...]:
    """The names of the classes, in the order of their labels."""
    try:
        return tuple((tree.folder / "label.labels.txt").read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        found, hint = disk.reason(error), "restore it from a copy, or prepare the data set again"
        raise Failure(Code.DATA, "label.labels.txt: cannot be read", f"{tree.folder}", found=found, hint=hint) from None


@functools.cache
def _report_left_out(split: str, count: int, whole: int, streams: str) -> None:
    print(f"{split}: left out {count:,} of {whole:,} clips, with no {streams}", file=sys.stderr)


MEMBER = AudioSet
