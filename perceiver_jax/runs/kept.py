"""What the workdir of a past run keeps beside its log: checkpoints, tables, pictures."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Failure, printable
from perceiver_jax.report.page.facts import Table
from perceiver_jax.report.step_parts import PARTS, PROFILE, read_profile
from perceiver_jax.report.tables import quantity
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.system import disk
from perceiver_jax.training import manifest
from perceiver_jax.training.manifest import Manifest

HASH_LETTERS = 16  # of a state's hash in a table: enough to compare by eye
OWN_CURVES = "curves.png"  # a page draws them itself


def checkpoints(workdir: Workdir) -> tuple[Table, Manifest | None]:
    """The saved steps, whose files are compared by name and size alone, and the manifest of the newest that is whole."""
    rows: list[Sequence[Any]] = []
    newest = None
    for step in manifest.steps(workdir.checkpoints):
        try:
            newest = manifest.verify(workdir.checkpoints, step, contents=False)
        except Failure as failure:
            rows.append([step, None, None, f"damaged: {failure.where or failure.found}"])
            continue
        size = sum(file.size for file in newest.files.values())
        rows.append([step, size, newest.state_sha256[:HASH_LETTERS], "as its manifest says, by names and sizes"])
    return Table("checkpoints", ["step", "bytes", "state_sha256", "files"], rows), newest


def pictures(workdir: Workdir) -> list[Path]:
    """The pictures of a run, but for its curves."""
    return [path for path in sorted(workdir.plots.glob("*.png")) if path.is_file() and path.name != OWN_CURVES]


def by_class(workdir: Workdir, note: Callable[[str], None]) -> Iterator[Table]:
    """The tables of classes that `experiments.evaluate` has written, by split; those that cannot be read go to `note`."""
    for path in sorted(workdir.path.glob("per_class_*.csv")):
        yield from _table(path, path.stem.removeprefix("per_class_"), note)


def parts(workdir: Workdir, note: Callable[[str], None]) -> Iterator[Table]:
    """The time of a step by part of the model, where it has been profiled; what cannot be read goes to `note`."""
    try:
        found = read_profile(workdir.path)
        if found is None:
            return
        first, last = found["first_step"], found["first_step"] + found["steps"] - 1
        title = (
            f"profile of steps {first:,} to {last:,} on {found['devices']} x {found['device']}: "
            f"{1000 * found['step_seconds']:.4g} ms a step, {_percent(found['matmul_share'])} of the rate of a large matmul "
            f"({quantity(found['matmul_flops_per_second'])}FLOP/s in {found['matmul_dtype']}); "
            f"compilation {found['compile_seconds']:.3g} s"
        )
        rows = [
            [
                printable(row["part"]),
                1000.0 * row["forward_seconds"],
                1000.0 * row["backward_seconds"],
                _percent(row["share"]),
                quantity(row["flops"]),
                _percent(row["matmul_share"]),
            ]
            for row in found["parts"]
        ]
    except Failure as failure:
        note(f"{PROFILE}/{PARTS} cannot be read: {failure.found}")
        return
    except (KeyError, TypeError) as error:
        note(f"{PROFILE}/{PARTS} cannot be read: {disk.reason(error)}")
        return
    yield Table(title, ["part", "forward ms", "backward ms", "of the step", "FLOPs", "of the matmul rate"], rows)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _table(path: Path, title: str, note: Callable[[str], None]) -> Iterator[Table]:
    """A CSV file as a table."""
    try:
        with open(path, newline="") as file:
            lines = list(csv.reader(file))
        if not lines or any(len(line) != len(lines[0]) for line in lines):
            raise ValueError("it has no header, or lines of another length")
    except (OSError, ValueError, csv.Error) as error:
        note(f"{printable(path.name)} cannot be read: {disk.reason(error)}")
        return
    header, *rows = lines
    yield Table(title, header, [[printable(first), *map(_value, rest)] for first, *rest in rows])


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return printable(text) if text else None
