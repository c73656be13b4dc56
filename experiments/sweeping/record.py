"""What a sweep's directory says of it: sweep.json, with the config file and the changes of every point there ever was."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.sweeping.points import Base, Point
from perceiver_jax.errors import Code, Failure, printable, some
from perceiver_jax.system import disk, locks

RECORD = "sweep.json"
FORMAT = 1
SHOWN = 5  # points named in a message


@contextlib.contextmanager
def claimed(workdir: Path) -> Iterator[None]:
    """Makes a sweep's directory and locks it until the block ends.

    Raises Failure: WORKDIR where it cannot be used or another process has it, CONFIG where it holds a run.
    """
    where = f"workdir {printable(str(workdir))}"
    _check_no_run(workdir)

    def in_use(owner: str) -> Failure:
        hint = "wait until it has ended, or another --workdir"
        return Failure(Code.WORKDIR, f"{where} is in use by another sweep", found=owner, hint=hint)

    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.held(workdir / ".lock", where, in_use))
            disk.remove_unfinished(workdir)
        except OSError as error:
            raise disk.unusable(where, workdir, error) from error
        yield


def check(workdir: Path, base: Base) -> list[dict[str, Any]]:
    """What is recorded of each point of the sweep in a directory; none where it has not begun.

    Raises Failure: CONFIG where the sweep is of another config file, or the directory holds a run, CHECKPOINT where the
    record cannot be read.
    """
    _check_no_run(workdir)
    path = workdir / RECORD
    try:
        record = json.loads(path.read_bytes())
        form, config, points = record["format"], record["config"], record["points"]
        if form > FORMAT:
            raise Failure(Code.CHECKPOINT, f"{path}", f"is of format {form}, newer than this version's {FORMAT}")
        kinds = {(type(point["name"]), type(point["settings_sha256"]), type(point["listed"])) for point in points}
        if not kinds <= {(str, str, bool)}:
            raise TypeError("its points are not as they were written")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        found = disk.reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        hint = "delete it: the same command makes it again, and finds the runs by their names and settings"
        raise Failure(Code.CHECKPOINT, f"{path}", "is damaged", found=found, hint=hint) from None
    if _absolute(config) != _absolute(base.spec):
        what = f"workdir {workdir} holds a sweep of another config"
        raise Failure(Code.CONFIG, what, found=str(config), expected=base.spec, hint="another --workdir")
    return points


def _check_no_run(workdir: Path) -> None:
    if (workdir / "config.json").exists():
        what = f"workdir {printable(str(workdir))} holds a run, not a sweep"
        raise Failure(Code.CONFIG, what, hint="another --workdir")


def compare(before: Sequence[dict[str, Any]], points: Sequence[Point], note: Callable[[str], None]) -> list[dict[str, Any]]:
    """The record of points, with those that are no longer listed; says which those are, and which are new."""
    known = {(old["name"], old["settings_sha256"]) for old in before}
    now = {(point.name, point.settings): point for point in points}
    new = [point.name for key, point in now.items() if key not in known]
    gone = [old for old in before if (old["name"], old["settings_sha256"]) not in now]
    dropped = [old["name"] for old in gone if old["listed"]]
    if before and new:
        note(f"note: new since the sweep began: {_some(new)}")
    if dropped:
        note(f"note: no longer listed, or with other settings now: {_some(dropped)}; what was trained is kept")
    return [*map(_recorded, points), *(old | {"listed": False} for old in gone)]


def _recorded(point: Point) -> dict[str, Any]:
    return {
        "name": point.name,
        "config": point.spec,
        "changes": point.changes,
        "settings_sha256": point.settings,
        "listed": True,
    }


def update(workdir: Path, base: Base, before: Sequence[dict[str, Any]], points: Sequence[Point]) -> None:
    """Stores points beside those recorded before, whether they are listed or not. Raises Failure as `write` does."""
    now = {point.name for point in points}
    write(workdir, base, [*(old for old in before if old["name"] not in now), *map(_recorded, points)])


def write(workdir: Path, base: Base, points: Sequence[dict[str, Any]]) -> None:
    """Stores it. Raises Failure(WORKDIR) where the disk refuses."""
    given = {name: override.text for name, override in base.given.items()}
    record = {"format": FORMAT, "config": base.spec, "given": given, "tiny": base.tiny, "points": list(points)}
    text = json.dumps(record, indent=2, default=repr) + "\n"
    try:
        if not (workdir / RECORD).exists() or (workdir / RECORD).read_text() != text:
            disk.write_atomically(workdir / RECORD, text.encode())
    except OSError as error:
        raise disk.unusable(f"workdir {workdir}", workdir / RECORD, error) from error


def _absolute(spec: str) -> str:
    path, _, variant = str(spec).partition(":")
    return f"{os.path.abspath(path)}:{variant}"


def _some(names: Sequence[str]) -> str:
    return some(names, SHOWN, f"and {len(names) - SHOWN} more")
