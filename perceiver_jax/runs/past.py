"""Runs as they lie on disk, finished or not: what commands that only look at them read. None of it needs JAX."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydantic

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.json_numbers import from_json
from perceiver_jax.report.log import read_metrics
from perceiver_jax.runs.workdir import Workdir, read_command, read_config
from perceiver_jax.settings.config import Config
from perceiver_jax.system import disk

Metrics = dict[str, float | None]


class _Best(pydantic.BaseModel, strict=True, extra="allow"):
    """The metrics of the best step, by split."""

    __pydantic_extra__: dict[str, Metrics]
    step: int


class _Result(pydantic.BaseModel, strict=True):
    """What `result.json` holds; runs of earlier versions lack some of it."""

    step: int
    metrics: dict[str, Metrics]
    best_by_validation: _Best = None
    best_by_test: _Best = None
    state_sha256: str = ""
    parameters: int = 0
    flops_per_example: int = 0
    seconds: float = 0.0
    time: dict[str, float] = {}
    peak_memory_bytes: dict[str, int | None] = {}
    unwritten: list[str] = []


@dataclasses.dataclass(frozen=True)
class PastRun:
    """A run in a workdir, as far as it has come."""

    workdir: Workdir
    config: Config
    command: tuple[str, ...]  # of the latest launch
    result: dict[str, Any] | None  # what result.json holds; None for a run that has not come to its end

    def records(self) -> list[dict[str, Any]]:
        """Its logged metrics, by rising step; none where it has not come to the first."""
        return read_metrics(self.workdir.metrics) if self.workdir.metrics.exists() else []


def read_run(path: str | Path) -> PastRun:
    """The run at a path; raises Failure(CHECKPOINT) where there is none, or its files are damaged."""
    workdir, config = Workdir(Path(path)), read_config(str(path))
    return PastRun(workdir, config, read_command(workdir), read_result(workdir))


def read_result(workdir: Workdir) -> dict[str, Any] | None:
    """What the run in a workdir came to; None before its end.

    Raises Failure(CHECKPOINT) where the file cannot be read.
    """
    try:
        found = from_json(workdir.result.read_bytes())
        _Result.model_validate(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        found = disk.reason(error) if isinstance(error, OSError) else str(error)
        if isinstance(error, pydantic.ValidationError):
            first = error.errors()[0]
            found = f"not the result of a run: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
        hint = "delete it and launch the run again: it is made again"
        raise Failure(Code.CHECKPOINT, f"{workdir.result}", "is damaged", found=found, hint=hint) from None
    return found


def runs_below(tree: str | Path, note: Callable[[str], None]) -> Iterator[PastRun]:
    """The runs in a directory and below, sorted by path; those that cannot be read are named to `note`.

    Raises Failure(WORKDIR) where the directory itself cannot be listed. What is inside a run is not looked at.
    """

    def fail(error: OSError) -> None:
        if Path(error.filename) == Path(tree):
            raise Failure(Code.WORKDIR, f"no directory of runs at {tree}", found=disk.reason(error)) from None
        note(f"note: left out {error.filename}: {disk.reason(error)}")

    for folder, below, files in os.walk(tree, onerror=fail):
        below.sort()
        if "config.json" in files:
            below.clear()
            try:
                yield read_run(folder)
            except Failure as failure:
                note(f"note: left out {folder}: {failure}")
        elif "result.json" in files:
            note(f"note: left out {folder}: a result.json without the config.json of its run")
