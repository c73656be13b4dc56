"""The runs that a study asks for: the commands that make them, and making them."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.reproduction.filling import Filled
from experiments.reproduction.points import as_overrides
from experiments.sweeping.run import check, run_points
from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.launch.jobs import Launcher
from perceiver_jax.system.signals import StopFlag


class Run(NamedTuple):
    """A run that a study asks for."""

    name: str  # a short one of its own
    config: str  # FILE.py[:VARIANT]
    changes: Mapping[str, Any]  # the seed with them

    def command(self, workdir: Path) -> str:
        """The line for a shell that makes it below a directory."""
        given = [f"--config.{name}={override.text}" for name, override in as_overrides(self.changes).items()]
        words = ["--config", self.config, "--workdir", str(workdir / self.name), *given]
        return shlex.join(["python", "-m", "experiments.train", *words])


def runs_of(filled: Filled, seeds: Iterable[int], data_dir: str | None) -> list[Run]:
    """The runs of a row with some seeds."""
    if filled.made is None:
        return []
    point, config = filled.made.point, filled.made.config
    moved = {"data.data_dir": data_dir} if data_dir is not None and isinstance(config.data, DirectoryConfig) else {}
    found = []
    for seed in seeds:
        own = {} if seed == config.seed else {"seed": seed}
        name = f"{point.name}_seed_{seed}" if own else point.name
        found.append(Run(name, point.path, {**point.changes, **moved, **own}))
    return found


def all_missing(rows: Iterable[Filled], data_dir: str | None) -> list[Run]:
    """What all rows lack, each run once: rows of one network need the same."""
    return list(_once(((filled, filled.missing) for filled in rows), data_dir).values())


def launch(rows: Sequence[Filled], workdir: Path, origin: str, data_dir: str | None, launcher: Launcher) -> None:
    """Makes what rows lack, as a sweep in a directory of its own; run again, it resumes.

    Runs that are finished elsewhere are not made again. `origin` names the study, by which a directory of another one is
    refused. Raises Failure where a run failed or was stopped, once all others have ended, as a sweep does.
    """
    wanted = _once(((filled, sorted({*filled.missing, *(run.seed for run in filled.runs)})) for filled in rows), data_dir)
    lacking = _once(((filled, filled.missing) for filled in rows), data_dir)
    if not lacking:
        return
    runs = [run for which, run in wanted.items() if which in lacking or (workdir / run.name).exists()]
    points, names = [(run.config, dict(run.changes)) for run in runs], [run.name for run in runs]
    with StopFlag() as stop:
        check(run_points(points, workdir, launcher, stop, origin, {}, tiny=False, names=names), stop)


def _once(wanted: Iterable[tuple[Filled, Iterable[int]]], data_dir: str | None) -> dict[tuple[str, int], Run]:
    """The runs of rows with some seeds, by the row's network and the seed."""
    found: dict[tuple[str, int], Run] = {}
    for filled, seeds in wanted:
        seeds = tuple(seeds)
        for seed, one in zip(seeds, runs_of(filled, seeds, data_dir), strict=True):
            found.setdefault((filled.made.key, seed), one)
    return found
