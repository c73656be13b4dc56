"""A run of many processes in one workdir: process 0 makes what is made once, and the others see that it is there.

All of it is that of a single process where there is only one.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs import begin
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.workdir import Workdir, read_problem
from perceiver_jax.settings.config import Config, dump
from perceiver_jax.system import disk
from perceiver_jax.system.processes import Processes
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.training import manifest
from perceiver_jax.training.checkpoint import code_version
from perceiver_jax.training.manifest import Manifest

SEEN_SECONDS = 30.0  # that a network file system may take to show one host what another one has written
LOOK_SECONDS = 0.2
SHARE = "a --workdir on a disk that all hosts share"
OF_HOSTS = ("config.data.data_dir", "config.data.num_workers", "config.data.prefetch_batches")  # may differ


@contextlib.contextmanager
def claim(path: str, config: Config, command: list[str], processes: Processes) -> Iterator[Workdir]:
    """The workdir, claimed by process 0 for all, once all are known to have the same settings and code.

    Raises Failure as `workdir.claim`; CONFIG also in a process launched otherwise than process 0, and where devices of many
    processes do not fit, WORKDIR in one that does not see what process 0 writes.
    """
    if processes.count > 1:
        from perceiver_jax.runs.programs import training_mesh  # JAX: a single process need not know so early

        processes.check_alike(dict(_facts(config)))
        training_mesh(config)  # all at once: each waits here until the others have told of their devices
    with contextlib.ExitStack() as stack:
        workdir = Workdir(Path(os.path.abspath(path)))
        if processes.first:
            workdir = stack.enter_context(workdirs.claim(path, config, command))
        _see(workdir.config, processes)
        processes.meet("claimed")  # it may change from here on
        yield workdir


def problem_of(workdir: Workdir, config: Config, stop: StopFlag, processes: Processes) -> tuple[Problem, bool]:
    """What the run learns, and whether the data of this process are still to be compared with it (`begin.check_data`).

    Raises as `begin.problem_of`.
    """
    begun = workdir.problem.exists() or not processes.first
    problem = begin.problem_of(workdir, config, stop) if processes.first else None
    _see(workdir.problem, processes)
    return problem or read_problem(workdir, config), begun


def newest(workdir: Workdir, find: Callable[[], tuple[int, Manifest] | None], processes: Processes) -> int | None:
    """The step that all processes resume at, which process 0 finds; None where nothing was saved.

    Raises what `find` does, and Failure(CHECKPOINT) where a process does not see that step as process 0 does.
    """

    def words() -> str:
        found = find()
        return "" if found is None else f"{found[0]} {found[1].state_sha256}"

    step, _, state = processes.shared("step", words).partition(" ")
    if not step:
        return None
    if not processes.first:
        _until_seen(lambda: _holds(workdir.checkpoints, int(step), state))
    return int(step)


def _facts(config: Config) -> Iterator[tuple[str, str]]:
    """What all processes must have alike, by name."""
    yield from (pair for pair in _settings("config", dump(config)) if pair[0] not in OF_HOSTS)
    yield "code", code_version()
    yield from ((name, version(name)) for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint"))


def _settings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _settings(f"{name}.{key}", inner)
    else:
        yield name, json.dumps(value)


def _see(path: Path, processes: Processes) -> None:
    """Waits until a process other than the first sees a file as that has written it."""
    if processes.count > 1:
        expected = processes.shared(path.name, lambda: disk.sha256(path))
        _until_seen(lambda: _is(path, expected))


def _is(path: Path, expected: str) -> None:
    found = disk.sha256(path) if path.exists() else "nothing there"
    if found != expected:
        what = f"{path} is not the file that process 0 has written"
        raise Failure(Code.WORKDIR, what, found=found, expected=expected, hint=SHARE)


def _holds(checkpoints: Path, step: int, expected: str) -> None:
    found = manifest.verify(checkpoints, step, contents=False).state_sha256
    if found != expected:
        what = f"checkpoint {checkpoints / str(step)} is not the one that process 0 resumes from"
        raise Failure(Code.CHECKPOINT, what, found=found, expected=expected, hint=SHARE)


def _until_seen(look: Callable[[], None]) -> None:
    """Looks until nothing is wrong, for some time; then raises as `look` does."""
    deadline = time.monotonic() + SEEN_SECONDS
    while True:
        try:
            return look()
        except (Failure, OSError):
            if time.monotonic() > deadline:
                raise
        time.sleep(LOOK_SECONDS)
