"""A whole data set: its shards, then the metadata by which TFDS reads them, then its final name.

Until all is there the folder's name ends in `.incomplete`; a finished one is never touched again.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.data.preparation import claims, findings, parts, shard
from perceiver_jax.data.preparation.items import Convert, Unit
from perceiver_jax.data.preparation.listing import BadEntry
from perceiver_jax.data.preparation.parts import Part
from perceiver_jax.data.preparation.shard import ShardRecord
from perceiver_jax.data.preparation.workers import Pool
from perceiver_jax.data.prepared_tree import HEAD, MANIFEST, head, read_manifest
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import disk

FORMAT = 3  # of what is written: raised whenever the same source would give other bytes
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
    most_seconds: float | None = None  # that an item may take; None: as long as a picture
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
    plan: Plan,
    data_dir: Path,
    num_workers: int,
    max_bad: int,
    observe: Callable[[int], None],
    report: Callable[[str], None],
    seal: bool = False,
) -> Path:
    """The folder of the finished data set; resumed where a previous run, or those of parts, ended.

    To `seal` is to put finished parts together, no more. `observe(items done)` may raise to stop; `report` is called with
    each line of output. Raises Failure: DATA for more than `max_bad` bad items, WORKDIR where the folder cannot be used, or
    parts to be sealed are not finished.
    """
    final, folder = folders(plan, data_dir)
    if final.exists():
        return _already(plan, final)
    if seal and not folder.exists():
        parts.check_finished(plan.units, plan.recipe, folder)
    with claims.claimed(folder):
        if final.exists():  # by now
            claims.abandon(folder)
            return _already(plan, final)
        if seal:
            parts.check_finished(plan.units, plan.recipe, folder)
        found = _write(plan, plan.units, folder, num_workers, observe, "")
        records = {unit.shard: found[unit.shard] for unit in plan.units}
        findings.judge(plan.bad, records, folder, max_bad, report)
        findings.warn(plan.units, records, plan.ignored, folder, report)
        if plan.finish is not None:
            plan.finish(plan.units, records, folder, report)
        _write_metadata(plan, records, folder)
        for entry in folder.iterdir():
            disk.sync(entry)
        shutil.rmtree(folder / shard.RECORDS)
        claims.remove_locks(folder)
        disk.sync(folder)
        os.rename(folder, final)
        disk.sync(final.parent)
    return final


def prepare_part(
    plan: Plan,
    part: Part,
    data_dir: Path,
    num_workers: int,
    observe: Callable[[int], None],
    report: Callable[[str], None],
) -> dict[str, ShardRecord] | None:
    """The shards of one part, which stay in the unfinished folder; None where the whole is finished.

    Parts may be prepared in any order, at the same time, and more than once. Raises Failure(WORKDIR) where the folder cannot
    be used; bad items are judged for the parts together.
    """
    final, folder = folders(plan, data_dir)
    if not final.exists():
        with claims.claimed(folder, part):
            if not final.exists():
                parts.warn_of_others(plan.units, plan.recipe, folder, report)
                records = _write(plan, parts.share_of(part, plan.units), folder, num_workers, observe, part.mark)
                findings.report_part(records, report)
                return records
            claims.abandon(folder)
    _already(plan, final)
    return None


def folders(plan: Plan, data_dir: Path) -> tuple[Path, Path]:
    """Where the finished data set is to be, and where it is until then."""
    final = data_dir / plan.name / plan.version
    return final, final.with_name(f"{plan.version}.incomplete")


def written(final: Path) -> dict[str, str]:
    """The SHA-256 of each shard of a finished data set, by name, as it was written. Raises Failure(DATA)."""
    return {name: shard.sha256 for name, shard in read_manifest(final).shards.items()}


def verify(folder: Path, sums: Mapping[str, str], hint: str, observe: Callable[[int], None]) -> None:
    """Reads the shards in `folder` of which `sums` has the SHA-256; `observe(shards done)` may raise to stop.

    Raises Failure(DATA) naming all that are not, byte for byte, what was written, also if swapped; with `hint`.
    """
    wrong = []
    for done, (name, expected) in enumerate(sums.items(), 1):
        path = folder / name
        if not path.is_file() or disk.sha256(path) != expected:
            wrong.append(name)
        observe(done)
    if wrong:
        what = f"{len(wrong)} of {len(sums)} shards are not what was written"
        raise Failure(Code.DATA, what, f"{folder}", found=", ".join(wrong), hint=hint)


def _write(
    plan: Plan, units: Sequence[Unit], folder: Path, num_workers: int, observe: Callable[[int], None], mark: str
) -> dict[str, ShardRecord]:
    """The records of the units' shards, by name, once they are there."""
    _check_space(plan, units, folder)
    return Pool(folder, plan.recipe, plan.convert, plan.preload, num_workers, mark, plan.most_seconds).run(units, observe)


def _already(plan: Plan, final: Path) -> Path:
    """The finished data set at `final`; raises Failure(WORKDIR) where it is another one than planned."""
    try:
        manifest = read_manifest(final)
    except Failure:
        raise Failure(Code.WORKDIR, f"output is not empty: {final}", hint="another --data_dir") from None
    if manifest.fingerprint != plan.fingerprint:
        what = f"{final} holds a data set made from another source"
        found = expected = ""
        if manifest.settings != plan.settings:
            what = f"{final} holds a data set made with other settings"
            found, expected = (_listed(settings) for settings in (manifest.settings, plan.settings))
        hint = "another --data_dir, or remove that folder"
        raise Failure(Code.WORKDIR, what, found=found, expected=expected, hint=hint)
    return final


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _check_space(plan: Plan, units: Sequence[Unit], folder: Path) -> None:
    missing = [unit for unit in units if not (folder / unit.shard).exists()]
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
    shards = {
        name: {"size": record.size, "sha256": record.sha256, HEAD: head(folder / name)} for name, record in records.items()
    }
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
