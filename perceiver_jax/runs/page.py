"""The HTML page of a run, or of several beside each other, on disk."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.report.page import write
from perceiver_jax.report.progress import note
from perceiver_jax.runs.facts import facts_of
from perceiver_jax.runs.past import PastRun, read_run
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.system import disk

NAME = "report.html"


def write_page(runs: Sequence[PastRun], output: Path) -> None:
    """Writes the page of some runs, each there once.

    Raises MissingPackage where the libraries for it are not installed, Failure: CONFIG for an output that must not be
    written to, WORKDIR where it cannot be.
    """
    write.check_packages()
    try:
        target = _target(runs, output)
    except OSError as error:
        raise disk.unusable(f"report {output}", output, error) from error
    facts = [facts_of(run, name) for run, name in zip(runs, names_of(runs), strict=True)]
    title = facts[0].name if len(facts) == 1 else f"{len(facts)} runs"
    content = write.html(facts, title).encode(errors="replace")
    try:
        disk.write_atomically(target, content)
    except OSError as error:
        raise disk.unusable(f"report {output}", target, error) from error


def write_own(workdir: Workdir, note: Callable[[str], None]) -> None:
    """Writes the page of the run in a workdir into it; what hinders that goes to `note`, and nothing comes of it."""
    try:
        write_page([read_run(workdir.path)], workdir.path / NAME)
    except Exception as error:  # noqa: BLE001 a page is made of what is on the disk, and can be made again
        note(f"note: {NAME} was not written: {error}")


def renew_own(workdir: Workdir) -> None:
    """Writes the page of a run again, with what its workdir has got since; where it has none, none is made."""
    if (workdir.path / NAME).exists():
        write_own(workdir, note)


def names_of(runs: Sequence[PastRun]) -> list[str]:
    """What each run is called, all of them differently: its directory, with those above where others have the same name."""
    paths = [os.path.abspath(run.workdir.path) for run in runs]
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) < len(names):
        above = os.path.commonpath(map(os.path.dirname, paths))
        names = [os.path.relpath(path, above) for path in paths]
    found: dict[str, None] = {}
    for i, name in enumerate(map(printable, names)):
        found[name if name not in found else f"{name} ({i + 1})"] = None
    return list(found)


def _target(runs: Sequence[PastRun], output: Path) -> Path:
    """Where links lead; raises Failure(CONFIG) for what a page must not replace, OSError where that cannot be known."""
    what, hint = f"--output {output}", "a new file: --output page.html"
    target = Path(os.path.realpath(output))
    if target.is_dir():
        raise Failure(Code.CONFIG, what, "is a directory", hint=f"--output {output / NAME}")
    if any(target.is_relative_to(os.path.realpath(run.workdir.checkpoints)) for run in runs):
        raise Failure(Code.CONFIG, what, "lies in a run's checkpoints, which would be damaged by it", hint=hint)
    if target.exists() and not _is_page(target):
        raise Failure(Code.CONFIG, what, "is there, and no report", hint=hint)
    return target


def _is_page(path: Path) -> bool:
    """Whether a file is one of these pages, or an empty one for it. Raises OSError."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(len(write.START)).decode(errors="replace")
    return start == write.START or (not start and path.suffix in (".html", ".htm"))
