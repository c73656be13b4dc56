"""A whole data set: its shards, then the metadata by which TFDS reads them, then its final name.

Until all is there the folder's name ends in `.incomplete`; a finished one is never touched again.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.data.preparation import findings, shard
from perceiver_jax.data.preparation.items import Convert, Unit
from perceiver_jax.data.preparation.listing import BadEntry
from perceiver_jax.data.preparation.shard import ShardRecord
from perceiver_jax.data.preparation.workers import Pool
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import disk, locks

FORMAT = 3  # of what is written: raised whenever the same source would give other bytes
MANIFEST = "preparation.json"
_SPARE = 1.1  # times the size of the sources: records and converted items take a little more

# Called with the units, the records of their shards, the folder of these and what reports a line.
Finish = Callable[[Sequence[Unit], Mapping[str, ShardRecord], Path, Callable[[str], None]], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be prepared. `features` gives `tfds.features`; it is called last."""

    name: str
    version: str
    units: Sequence[Unit]
    convert: Convert
    preload: Sequence[str]  # modules that it needs: imported once for all workers
    bad: Sequence[BadEntry]  # found in listings, before any item was read
    partial: bool  # on purpose less than the published data set
    features: Callable[[], Any]
    description: Mapping[str, Any]  # further arguments of `tfds.core.DatasetInfo`
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the conversion, kept with the data set
    example_bytes: int | None = None  # what an item becomes; None: about its own size
    ignored: Sequence[str] = ()  # what else the source holds, by name
    finish: Finish | None = None  # what else is written beside the shards

    @property
    def recipe(self) -> str:
        """What a shard's bytes depend on besides its items."""
        settings = "".join(f" {name}={value}" for name, value in self.settings.items())
        return f"{self.name} {self.version} format {FORMAT}{settings}"

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of everything that the data set is made from."""
        bad = [[item.key, item.code] for item in self.bad]
        parts = [self.partial, bad, [unit.fingerprint(self.recipe) for unit in self.units]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def prepare(
    plan: Plan, data_dir: Path, num_workers: int, max_bad: int, observe: Callable[[int], None], report: Callable[[str], None]
) -> Path:
    """The folder of the finished data set; resumed where a previous run ended.

    `observe(items done)` may raise to stop; `report` is called with each line of output. Raises Failure: DATA for more than
    `max_bad` bad items, WORKDIR where the folder cannot be used.
    """
    final = data_dir / plan.name / plan.version
    folder = final.with_name(f"{plan.version}.incomplete")
    if final.exists():
        return _already(plan, final)
    with _claimed(folder):
        _check_space(plan, folder)
        pool = Pool(folder, plan.recipe, plan.convert, plan.preload, num_workers)
        found = pool.run(plan.units, observe)
        records = {unit.shard: found[unit.shard] for unit in plan.units}
        findings.judge(plan.bad, records, folder, max_bad, report)
        findings.warn(plan.units, records, plan.ignored, folder, report)
        if plan.finish is not None:
            plan.finish(plan.units, records, folder, report)
        _write_metadata(plan, records, folder)
        shutil.rmtree(folder / shard.RECORDS)
        for entry in folder.iterdir():
            disk.sync(entry)
        (folder / ".lock").unlink()
        disk.sync(folder)
        os.rename(folder, final)
        disk.sync(final.parent)
    return final


def verify(final: Path, observe: Callable[[int], None]) -> None:
    """Reads every shard of a finished data set; `observe(shards done)` may raise to stop.

    Raises Failure(DATA) naming all that are not, byte for byte, what was written, also if swapped.
    """
    shards = json.loads((final / MANIFEST).read_bytes())["shards"]
    wrong = []
    for done, (name, record) in enumerate(shards.items(), 1):
        path = final / name
        if not path.is_file() or disk.sha256(path) != record["sha256"]:
            wrong.append(name)
        observe(done)
    if wrong:
        hint = f"restore them from a copy, or remove {final} and prepare again"
        what = f"{len(wrong)} of {len(shards)} shards are not what was written"
        raise Failure(Code.DATA, what, f"{final}", found=", ".join(wrong), hint=hint)


def _already(plan: Plan, final: Path) -> Path:
    """The finished data set at `final`; raises Failure(WORKDIR) where it is another one than planned."""
    try:
        manifest = {"settings": {}} | json.loads((final / MANIFEST).read_bytes())
        ours = manifest["fingerprint"] == plan.fingerprint
    except (OSError, ValueError, KeyError, TypeError):
        raise Failure(Code.WORKDIR, f"output is not empty: {final}", hint="another --data_dir") from None
    if not ours:
        what = f"{final} holds a data set made from another source"
        found = expected = ""
        if manifest["settings"] != plan.settings:
            what = f"{final} holds a data set made with other settings"
            found, expected = (_listed(settings) for settings in (manifest["settings"], plan.settings))
        hint = "another --data_dir, or remove that folder"
        raise Failure(Code.WORKDIR, what, found=found, expected=expected, hint=hint)
    return final


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Makes the folder, locks it, and removes what unfinished writes left; reports a disk that refuses."""

    def in_use(_: str) -> Failure:
        return Failure(Code.WORKDIR, f"{folder} is in use by another process")

    with contextlib.ExitStack() as stack:
        try:
            (folder / shard.RECORDS).mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.held(folder / ".lock", f"{folder}", in_use))
            for directory in (folder, folder / shard.RECORDS):
                disk.remove_unfinished(directory)
            yield
        except OSError as error:
            hint = "free some space, or another --data_dir"
            raise Failure(Code.WORKDIR, f"cannot write to {folder}", found=disk.reason(error), hint=hint) from None


def _check_space(plan: Plan, folder: Path) -> None:
    missing = [unit for unit in plan.units if not (folder / unit.shard).exists()]
    sizes = (item.size if plan.example_bytes is None else plan.example_bytes for unit in missing for item in unit.items)
    needed = round(_SPARE * sum(sizes))
    free = shutil.disk_usage(folder).free
    if needed > free:
        what = f"not enough space at {folder}"
        raise Failure(Code.WORKDIR, what, found=f"{free:,} bytes free", expected=f"{needed:,}", hint="another --data_dir")


def _write_metadata(plan: Plan, records: dict[str, ShardRecord], folder: Path) -> None:
    """Writes the manifest of the preparation, then what TFDS reads."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import naming

    partial = plan.partial or bool(plan.bad) or any(record.bad for record in records.values())
    shards = {name: {"size": record.size, "sha256": record.sha256} for name, record in records.items()}
    manifest = {"format": FORMAT, "fingerprint": plan.fingerprint, "partial": partial, "shards": shards}
    if plan.settings:
        manifest["settings"] = dict(plan.settings)
    disk.write_atomically(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    splits = []
    for split in sorted({unit.split for unit in plan.units}):
        parts = [records[unit.shard] for unit in plan.units if unit.split == split]
        template = naming.ShardedFileTemplate(
            data_dir=folder, dataset_name=plan.name, split=split, filetype_suffix="array_record"
        )
        sizes, total = [part.examples for part in parts], sum(part.example_bytes for part in parts)
        splits.append(tfds.core.SplitInfo(split, shard_lengths=sizes, num_bytes=total, filename_template=template))
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=plan.features(), split_infos=splits, version=plan.version, check_data=False,
        **plan.description,
    )  # fmt: skip
