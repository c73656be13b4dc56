"""The runs that a study lacks: the commands that make them, and making them."""

import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.reproduction.filling import Filled
from experiments.reproduction.points import as_overrides
from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.errors import STOPPED, Code, Failure, some
from perceiver_jax.report.progress import say


class Missing(NamedTuple):
    """A run that is still to be made."""

    name: str  # of its directory
    config: str  # of configs/, as in a Point
    changes: Mapping[str, Any]  # the seed with them

    def arguments(self, workdir: Path) -> list[str]:
        """What `experiments.train` takes to make it below a directory."""
        file, _, variant = self.config.partition(":")
        spec = f"configs/{file}.py" + (f":{variant}" if variant else "")
        given = [f"--config.{name}={override.text}" for name, override in as_overrides(self.changes).items()]
        return ["--config", spec, "--workdir", str(workdir / self.name), *given]

    def command(self, workdir: Path) -> str:
        """The same as a line for a shell."""
        return shlex.join(["python", "-m", "experiments.train", *self.arguments(workdir)])


def missing_of(filled: Filled, data_dir: str | None) -> list[Missing]:
    """The runs that a row lacks."""
    if filled.made is None:
        return []
    point, config = filled.made.point, filled.made.config
    moved = {"data.data_dir": data_dir} if data_dir is not None and isinstance(config.data, DirectoryConfig) else {}
    return [
        Missing(
            point.name if seed == config.seed else f"{point.name}_seed_{seed}",
            point.config,
            {**point.changes, **moved, **({} if seed == config.seed else {"seed": seed})},
        )
        for seed in filled.missing
    ]


def all_missing(rows: Iterable[Filled], data_dir: str | None) -> list[Missing]:
    """What all rows lack, each run once: rows of one network need the same."""
    found = {}
    for filled in rows:
        for seed, one in zip(filled.missing, missing_of(filled, data_dir), strict=True):
            found.setdefault((filled.made.key, seed), one)
    return list(found.values())


def launch(missing: Sequence[Missing], workdir: Path) -> None:
    """Makes the runs, one after the other; those that were begun go on. One that fails leaves the others alone.

    Raises Failure where one failed, with its exit code, or as soon as one is stopped.
    """
    codes = {}
    for one in missing:
        say(f"\n{workdir / one.name}")
        code = subprocess.run([sys.executable, "-m", "experiments.train", *one.arguments(workdir)]).returncode
        if code in STOPPED or code < 0:
            raise Failure(Code.INTERRUPTED, f"{workdir / one.name} was stopped", hint="the same command resumes")
        codes[one.name] = code
    failed = [name for name, code in codes.items() if code]
    if failed:
        first = codes[failed[0]]
        code = Code(first) if first in set(Code) else Code.FAULT
        raise Failure(code, f"{len(failed)} of {len(codes)} runs failed", some(failed, 5, f"and {len(failed) - 5} more"))
