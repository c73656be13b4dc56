"""Damage to shards of prepared records, read as training reads them, in this process."""

import json
import random
import shutil
import time
from pathlib import Path

from perceiver_jax.data.prepared import Prepared, Records
from perceiver_jax.data.prepared_tree import HEAD, head
from perceiver_jax.errors import Code, Failure
from scripts.faults.campaign import Campaign, Suite, Trial, contents
from scripts.faults.kinds import damage

NAME, VERSION, NUM_SHARDS, LENGTH, CLASSES = "faulty", "1.0.0", 3, 8, 10
KINDS = (damage.flip, damage.zero, damage.fill, damage.truncate, damage.append, damage.delete, damage.rename, damage.swap)
PREPARED = {"name": NAME, "major": 1, "splits": {"train": "train"}, "script": "scripts.prepare"}


class Shards(Suite):
    """Each damaged shard is named and no record ever comes back changed; damage to bytes that hold nothing may go unseen."""

    rows = "a record shard damaged, in this process: the shard named, no record changed"
    quick, full = 3 * len(KINDS), 5_000

    def inject(self, campaign: Campaign, count: int) -> None:
        """Each kind in turn, on a copy of three small shards."""
        whole = campaign.new()
        shards, written = whole / "shards", _write(whole)
        before = contents(shards)
        for number in range(count):
            kind, place = KINDS[number % len(KINDS)], campaign.new()
            folder = shutil.copytree(shards, place / NAME / VERSION)
            target = damage.done(kind, folder, campaign.rng)
            after = contents(folder)
            damaged = {name for name in before if name not in after or before[name] != after[name]} - {"."}
            for record in whole.glob("*.json"):
                shutil.copy(record, folder)
            with campaign.trial(f"{kind.__name__} of {target}") as trial:
                self._check(trial, place, written, damaged)
            shutil.rmtree(place)
        shutil.rmtree(whole)

    def _check(self, trial: Trial, place: Path, written: list[bytes], damaged: set[str]) -> None:
        """Opens the split and reads every record once."""
        began = time.monotonic()
        prepared = Prepared(data_dir=str(place), **PREPARED)
        told = []
        try:
            records = Records(prepared.open("train", len(written)), ["image"], "name", CLASSES)
        except Failure as failure:
            told.append(failure)
        else:
            for index, value in enumerate(written):
                try:
                    found = records[index].values["image"]
                    trial.trust(found == value, f"record {index} was read as another than was written")
                except Failure as failure:
                    told.append(failure)
        trial.seconds = time.monotonic() - began
        for failure in told:
            trial.expect(failure.code == Code.DATA, f"another code: {failure}")
            named = {name for name in damaged if name in str(failure)}
            trial.expect(len(named) == 1, f"damaged {damaged}, told {failure}")
            trial.messages += 1


def _write(place: Path) -> list[bytes]:
    """Writes the shards and what is recorded of them; returns what is in the records, in order."""
    from array_record.python import array_record_module
    from tensorflow_datasets.proto import tf_example_pb2

    rng, written, sizes = random.Random(0), [], {}
    (place / "shards").mkdir(parents=True)
    for number in range(NUM_SHARDS):
        path = place / "shards" / f"{NAME}-train.array_record-{number:05}-of-{NUM_SHARDS:05}"
        writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        for record in range(LENGTH):
            written.append(rng.randbytes(rng.randrange(100, 3000)))
            feature = (example := tf_example_pb2.Example()).features.feature
            feature["image"].bytes_list.value.append(written[-1])
            feature["name"].bytes_list.value.append(f"{number}/{record}".encode())
            feature["label"].int64_list.value.append(record % CLASSES)
            writer.write(example.SerializeToString())
        writer.close()
        sizes[path.name] = {"size": path.stat().st_size, HEAD: head(path)}
    split = {"name": "train", "shardLengths": [str(LENGTH)] * NUM_SHARDS, "numBytes": str(sum(map(len, written)))}
    split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    info = {"name": NAME, "version": VERSION, "fileFormat": "array_record", "splits": [split]}
    (place / "dataset_info.json").write_text(json.dumps(info))
    (place / "preparation.json").write_text(json.dumps({"partial": False, "shards": sizes}))
    return written


MEMBER = Shards
