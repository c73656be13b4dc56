"""What a preparation reports about its source: items that cannot be read, unusual ones, and those in two splits.

On the screen are the first of them, in files beside the shards all. Both are the same however the shards were written.
"""

import collections
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from perceiver_jax.data.preparation.items import Unit
from perceiver_jax.data.preparation.listing import BadEntry
from perceiver_jax.data.preparation.shard import ShardRecord
from perceiver_jax.errors import Code, Failure, some
from perceiver_jax.system import disk

BAD_ITEMS, WARNINGS = "bad_items.jsonl", "warnings.jsonl"
SHOWN = 20  # of a kind on the screen
_LATER = "all are listed with --seal"


def judge(
    bad: Sequence[BadEntry], records: Mapping[str, ShardRecord], folder: Path, max_bad: int, report: Callable[[str], None]
) -> None:
    """Lists the bad items, those of the listing too; raises Failure(DATA) where they are more than the budget."""
    found = sorted([(b.key, b.code, b.sentence) for b in bad] + [tuple(b) for r in records.values() for b in r.bad])
    write_lines(folder / BAD_ITEMS, ({"key": key, "code": code, "what": sentence} for key, code, sentence in found))
    _report_bad(found, f"all in {BAD_ITEMS}", report)
    if len(found) > max_bad:
        hint = f"repair the source and run the command again, or skip them: --max_bad={len(found)}"
        expected = f"at most {max_bad} (--max_bad)"
        raise Failure(Code.DATA, f"{len(found)} bad items", f"all in {folder / BAD_ITEMS}", expected=expected, hint=hint)


def warn(
    units: Sequence[Unit],
    records: Mapping[str, ShardRecord],
    ignored: Iterable[str],
    folder: Path,
    report: Callable[[str], None],
) -> None:
    """Lists what is unusual and what was ignored; reports how many items there are of each code, and in two splits."""
    rows = [{"key": name, "code": "ignored"} for name in ignored]
    for unit in units:
        for code, keys in records[unit.shard].warnings.items():
            rows += [{"key": key, "code": code, "split": unit.split} for key in keys]
    _report_unusual(records, f"all in {WARNINGS}", report)
    twice = list(_in_two_splits(units, records))
    rows += [{"key": key, "code": "in-two-splits", "split": split, "same": same} for same, key, split in twice]
    if twice:
        pairs = sorted(f"{same} = {key}" for same, key, _ in twice)
        report(f"warning: {len(pairs):,} items are the same in two splits, byte for byte: {first(pairs)}")
    write_lines(folder / WARNINGS, sorted(rows, key=lambda row: list(row.values())))


def report_part(records: Mapping[str, ShardRecord], report: Callable[[str], None]) -> None:
    """Reports what is bad and what is unusual in one part: all of it is listed, and judged, for the parts together."""
    _report_bad(sorted(tuple(bad) for record in records.values() for bad in record.bad), _LATER, report)
    _report_unusual(records, _LATER, report)


def first(names: Sequence[str], where: str = f"all in {WARNINGS}") -> str:
    """As many of the names as are shown, and where the others are."""
    return some(names, SHOWN, f"... ({where})")


def _report_bad(found: Sequence[tuple[str, str, str]], where: str, report: Callable[[str], None]) -> None:
    for key, code, sentence in found[:SHOWN]:
        report(f"bad item {key}: {code}: {sentence}")
    if len(found) > SHOWN:
        report(f"... and {len(found) - SHOWN} more, {where}")


def _report_unusual(records: Mapping[str, ShardRecord], where: str, report: Callable[[str], None]) -> None:
    by_code = collections.defaultdict(list)
    for record in records.values():
        for code, keys in record.warnings.items():
            by_code[code] += keys
    for code, keys in sorted(by_code.items()):
        report(f"warning: {len(keys):,} items {code}: {first(sorted(keys), where)}")


def _in_two_splits(units: Sequence[Unit], records: Mapping[str, ShardRecord]) -> Iterator[tuple[str, str, str]]:
    """Of the items that have the same bytes in two splits the one's key, and the other's key and split."""
    sizes = collections.Counter(unit.split for unit in units)
    largest = max(sizes, key=sizes.__getitem__)  # is looked up in what the others hold: that takes the least memory
    seen: dict[str, tuple[str, str]] = {}
    for unit in sorted(units, key=lambda unit: unit.split == largest):
        for item, digest in zip(unit.items, records[unit.shard].digests, strict=True):
            if digest and unit.split != largest:
                seen.setdefault(digest, (unit.split, item.key))
            if digest in seen and seen[digest][0] != unit.split:
                yield seen[digest][1], item.key, unit.split


def write_lines(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Writes rows as lines of JSON, all or none."""
    disk.write_atomically(path, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
