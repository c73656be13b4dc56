"""Prepared data sets: shards, their metadata and the arrays beside them, as training reads them."""

import json
import os
import tempfile
from pathlib import Path

from perceiver_jax.data import example_index
from perceiver_jax.data.preparation import audioset, shard
from perceiver_jax.data.preparation.dataset import FORMAT
from perceiver_jax.data.preparation.items import Example, Item, Unit, record
from perceiver_jax.data.prepared_tree import HEAD, MANIFEST, head
from perceiver_jax.data.sources.audioset import AudioSet
from scripts.fuzz.parser import Tree

_CLASSES = ("Speech", "Music", "Dog")
_SPLITS = {"balanced_train": 3, "eval": 2}  # clips
_NAME, _VERSION, _RECIPE = "audioset", "1.0.0", "audioset 1.0.0"
_SETTINGS = {
    "kind": "audioset",
    "subset": "balanced",
    "audio": {"kind": "raw", "sample_rate": 8000, "num_pieces": 16, "samples_per_piece": 80},
    "video": None,
    "batch_size": 1,
    "eval_batch_size": 1,
    "validation_examples": 0,
    "sampling": "shuffle",
    "num_workers": 0,
    "prefetch_batches": 1,
}


class Records(Tree):
    """An AudioSet of five clips."""

    what = "prepared data sets"
    packages = ("array_record", "tensorflow-datasets")

    def make(self) -> dict[str, bytes]:
        """Its files, and the records of a preparation that goes on."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, _NAME, _VERSION)
            (root / shard.RECORDS).mkdir(parents=True)
            _write(root, Path(folder))
            files = [path for path in root.rglob("*") if path.is_file()]
            return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    def use(self, folder: Path) -> None:
        """Every clip and its labels, and what a preparation that goes on reads of its shards."""
        for split in _SPLITS:
            unit = Unit(_shard(split), split, [])
            shard.finished(unit, _RECIPE, folder / _NAME / _VERSION)
        source = AudioSet(AudioSet.Config(data_dir=str(folder), **_SETTINGS))
        source.contents()
        source.identity()
        for split in ("train", "test"):
            clips = source.load(split)
            for number in range(len(clips)):
                clips.labels(number)
                _ = clips[number]


def _shard(split: str) -> str:
    return f"{_NAME}-{split}.array_record-00000-of-00001"


def _write(root: Path, sources: Path) -> None:
    """The data set at `root`, of items that are made in `sources`."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import naming

    shards, infos = {}, []
    for split, count in _SPLITS.items():
        items = []
        for number in range(count):
            path = sources / f"{split}{number}"
            path.write_bytes(bytes([number]) * 40)
            os.utime(path, ns=(0, 0))
            items.append(Item(f"{split}_{number}", (number, 2)[: number + 1], str(path), 0, 40, 0))
        unit = Unit(_shard(split), split, items)
        found = shard.write(unit, _RECIPE, _converted, root, {}, lambda _: None)
        shards[unit.shard] = {"size": found.size, "sha256": found.sha256, HEAD: head(root / unit.shard)}
        example_index.write(root, split, [(["audio"], item.label) for item in items])
        template = naming.ShardedFileTemplate(data_dir=root, dataset_name=_NAME, split=split, filetype_suffix="array_record")
        infos.append(tfds.core.SplitInfo(split, [found.examples], found.example_bytes, template))
    manifest = {"format": FORMAT, "fingerprint": "0", "partial": False, "shards": shards, "settings": {"frame_side": 32}}
    (root / MANIFEST).write_text(json.dumps(manifest, indent=1))
    texts = {"description": "small", "homepage": ""}
    tfds.folder_dataset.write_metadata(
        data_dir=root, features=audioset.features(_CLASSES), split_infos=infos, version=_VERSION, check_data=False, **texts
    )


def _converted(item: Item, data: bytes) -> Example:
    values = {"audio": data, "video": b"", "label": item.label, "name": item.key.encode(), "seconds": 1.0}
    return Example(record(values), ())


MEMBER = Records
