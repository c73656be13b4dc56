"""Does faults to real runs of a tiny experiment, and prints what became of them.

python -m scripts.faults [--suite sigkill,damage] [--count N|quick|full] [--seed K] [--output FILE.json] [--fresh]

A fault is survived where the run ends with the `state_sha256` of a run that nobody disturbed. Suites are the files of
scripts/faults/kinds; `all` is all. Runs are processes of their own, forked from one that has imported the program; with
--fresh each is started from nothing, as a shell does.
"""

import datetime
import os
import platform
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from absl import flags

import perceiver_jax
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.members import kinds, member
from perceiver_jax.report.progress import Progress, say
from perceiver_jax.report.tables import table
from perceiver_jax.system.processor import num_cores
from scripts.faults import kinds as room
from scripts.faults.campaign import Campaign, Suite, make_quiet
from scripts.faults.processes import FreshLauncher, Launcher
from scripts.faults.table import COLUMNS, Row, total
from scripts.results import check_output, write_results

COUNTS = ("quick", "full")
PACKAGES = ("jax", "jaxlib", "orbax-checkpoint", "grain", "array_record")
_SUITE = flags.DEFINE_list("suite", ["all"], f"Which of {', '.join(kinds(room))}.")
_COUNT = flags.DEFINE_string("count", "quick", "How many faults of each suite: a number, or its own for tests or the table.")
_SEED = flags.DEFINE_integer("seed", 0, "What is drawn at random comes from it.")
_OUTPUT = flags.DEFINE(command.PATH, "output", None, "File for the results, .json; the table goes beside it as .md.")
_FRESH = flags.DEFINE_bool("fresh", False, "Start each process from nothing: slower by the time of the imports.")


def main() -> None:
    count = _count()
    check_output(_OUTPUT.value)
    began = datetime.datetime.now(datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="perceiver_jax-faults-") as folder:
        _prepare(Path(folder))
        suites = {name: member(room, name, "--suite")() for name in _names()}
        counts = {name: getattr(suite, count) if isinstance(count, str) else count for name, suite in suites.items()}
        rows = _campaign(Path(folder), suites, counts)
    facts = {"date": began.isoformat(timespec="minutes"), "seed": _SEED.value, "fresh": _FRESH.value, **_machine()}
    cells = [row.cells() for row in [*rows, total(rows)]]
    say(table(COLUMNS, cells))
    if _OUTPUT.value is not None:
        write_results(Path(_OUTPUT.value), facts, {"suites": [row.record() for row in rows]}, COLUMNS, cells)
    lost = sum(row.injected - row.survived for row in rows)
    if lost:
        raise Failure(Code.FAULT, f"{lost} faults were not survived", hint="the lines above say how; please report them")


def _names() -> list[str]:
    """The suites that --suite asks for."""
    if "all" in _SUITE.value and len(_SUITE.value) > 1:
        raise Failure(Code.CONFIG, "--suite: all cannot be combined with names", expected="all, or names")
    return kinds(room) if _SUITE.value == ["all"] else _SUITE.value


def _count() -> str | int:
    """What --count asks for; raises Failure(CONFIG)."""
    if _COUNT.value in COUNTS:
        return _COUNT.value
    if not _COUNT.value.isdecimal() or int(_COUNT.value) < 1:
        raise Failure(Code.CONFIG, f"--count {_COUNT.value}", expected=f"a number from 1 on, or one of {', '.join(COUNTS)}")
    return int(_COUNT.value)


def _prepare(folder: Path) -> None:
    """Makes programs cheap to compile and keeps them, for this process and all that it starts; before JAX is imported."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "GLIBC_TUNABLES": ""}
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))


def _campaign(folder: Path, suites: Mapping[str, Suite], counts: Mapping[str, int]) -> list[Row]:
    """Runs the suites one after the other, each in a directory of its own."""
    (folder / "logs").mkdir()
    launched = (FreshLauncher if _FRESH.value else Launcher)(folder / "logs")
    rows: list[Row] = []
    with Progress(sum(counts.values()), 0) as progress, launched as launcher:
        make_quiet(launcher, folder / "quiet")
        before = 0
        for name, suite in suites.items():
            progress.note(f"{name}: {counts[name]:,} faults")
            (folder / name).mkdir()
            campaign = Campaign(launcher, folder / name, folder / "quiet", _SEED.value, progress.note)
            campaign.done = lambda campaign=campaign, before=before: progress.update(before + len(campaign.trials), {})
            suite.inject(campaign, counts[name])
            rows.append(Row(name, suite.rows, campaign.trials))
            before += len(campaign.trials)
    return rows


def _machine() -> dict[str, str | int]:
    versions = {name: metadata.version(name) for name in PACKAGES}
    processor = platform.processor() or platform.machine()
    where = {"platform": platform.platform(), "processor": processor, "cores": num_cores()}
    ours = perceiver_jax.__version__
    return {"perceiver_jax": ours, "python": platform.python_version(), **versions, **where}


if __name__ == "__main__":
    command.run(main)
