"""One shard: written under a temporary name, renamed when whole, and known by a record of its bytes from then on."""

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pydantic

from perceiver_jax.data.preparation.items import Convert, Files, Unit, read
from perceiver_jax.readers import BadFile
from perceiver_jax.section import Section
from perceiver_jax.system import disk

RECORDS = "units"  # the folder of records beside unfinished shards


class ShardRecord(Section):
    """What a unit has become; valid where the shard has this size and this sum, and the unit this fingerprint."""

    fingerprint: str
    size: int  # of the file, in bytes
    sha256: str
    examples: int
    example_bytes: int  # of all examples, as TFDS counts
    bad: list[tuple[str, str, str]]  # key, code, sentence
    warnings: dict[str, list[str]]  # keys by code
    digests: list[str]  # of each item a hash of its source's bytes, "" for a bad one


def recorded(unit: Unit, recipe: str, folder: Path) -> ShardRecord | None:
    """The record of a unit whose shard is there, in the size that it had: its bytes are not read."""
    try:
        record = ShardRecord.model_validate_json(_record_path(unit, folder).read_bytes(), strict=False)
        same = record.fingerprint == unit.fingerprint(recipe) and (folder / unit.shard).stat().st_size == record.size
        return record if same else None
    except (OSError, pydantic.ValidationError):
        return None


def finished(unit: Unit, recipe: str, folder: Path) -> ShardRecord | None:
    """The record of a unit whose shard is there, byte for byte."""
    record = recorded(unit, recipe, folder)
    try:
        return record if record is not None and disk.sha256(folder / unit.shard) == record.sha256 else None
    except OSError:
        return None


def write(
    unit: Unit,
    recipe: str,
    convert: Convert,
    folder: Path,
    skip: Mapping[str, tuple[str, str]],
    at: Callable[[int], None],
    mark: str = "",
) -> ShardRecord:
    """Writes one shard and its record. `at(i)` is called when item i has been read and `at(-1)` when it is decoded.

    Items in `skip` (key: code and sentence) are left out as bad. Unfinished files have names that begin with `mark` and
    are this call's alone: processes that write the same shard do not meet. Raises OSError, and Failure(DATA) where a
    source changed.
    """
    from array_record.python import array_record_module

    mark += f"{secrets.token_hex(4)}-"
    temporary = folder / f"{disk.TEMPORARY}{mark}{unit.shard}"
    try:
        # One example a chunk, as TFDS writes: random access reads no more than it needs.
        writer = array_record_module.ArrayRecordWriter(str(temporary), "group_size:1")
        facts = _write_examples(unit, convert, skip, at, writer.write)
        writer.close()
        disk.sync(temporary)
        facts |= {"size": temporary.stat().st_size, "sha256": disk.sha256(temporary)}
        record = ShardRecord(fingerprint=unit.fingerprint(recipe), **facts)
        os.rename(temporary, folder / unit.shard)
    finally:
        temporary.unlink(missing_ok=True)
    disk.write_atomically(_record_path(unit, folder), record.model_dump_json().encode(), mark)
    return record


def _write_examples(
    unit: Unit,
    convert: Convert,
    skip: Mapping[str, tuple[str, str]],
    at: Callable[[int], None],
    append: Callable[[bytes], object],
) -> dict[str, Any]:
    """Appends the examples of a unit and gives what its record says of them."""
    facts = {"examples": 0, "example_bytes": 0, "bad": [], "warnings": {}, "digests": []}
    with Files() as files:
        for i, item in enumerate(unit.items):
            try:
                if item.key in skip:
                    raise BadFile(*skip[item.key])
                data = read(item, files)
                at(i)
                example = convert(item, data)
            except BadFile as bad:
                facts["bad"].append((item.key, bad.code, bad.sentence))
                facts["digests"].append("")
                continue
            finally:
                at(-1)
            append(example.record)
            facts["examples"] += 1
            facts["example_bytes"] += len(example.record)
            content = data if example.content is None else example.content
            facts["digests"].append(hashlib.blake2b(content, digest_size=8).hexdigest())
            for code in example.warnings:
                facts["warnings"].setdefault(code, []).append(item.key)
    return facts


def _record_path(unit: Unit, folder: Path) -> Path:
    return folder / RECORDS / f"{unit.shard}.json"
