"""Trains a config once for each setting of a sweep, one after the other; run again, it resumes.

python -m experiments.sweep --config configs/imagenet.py:fig5 --sweep experiments/sweeps/fig5.py --workdir runs/fig5

A sweep file has `get_sweep()`: a list of dictionaries, each the fields that one run changes, by dotted name.
"""

import collections
import dataclasses
import hashlib
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from perceiver_jax import command, tasks
from perceiver_jax.errors import STOPPED, Code, Failure, some
from perceiver_jax.members import member
from perceiver_jax.report.progress import say
from perceiver_jax.report.selection import reported_split
from perceiver_jax.report.tables import table
from perceiver_jax.runs.past import read_result
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.settings import files
from perceiver_jax.settings.config import Config
from perceiver_jax.settings.overrides import Override
from perceiver_jax.system.signals import StopFlag

Changes = dict[str, Any]  # by dotted name, what one run changes
NAME_BYTES = 255  # of a file's name, on every file system in use
POLL_SECONDS = 0.2

flags.DEFINE(command.PATH, "workdir", None, "Directory for the runs, one subdirectory per setting.")
flags.DEFINE(command.PATH, "sweep", None, "File whose get_sweep() lists what each run changes.")
command.define_config()


def main() -> None:
    settings = files.call(Path(command.require("sweep")), "sweep", "get_sweep")
    if not isinstance(settings, list) or not settings or not all(map(_is_changes, settings)):
        what = "get_sweep must return a list of one dictionary or more, with dotted names as keys"
        raise Failure(Code.CONFIG, f"sweep {flags.FLAGS.sweep}", what)
    workdir = Path(command.require("workdir"))
    settings = [{name: plain(value) for name, value in changes.items()} for changes in settings]
    runs = dict(zip(names_of(settings), settings, strict=True))
    if len(runs) < len(settings):
        print(f"note: {len(settings) - len(runs)} of {len(settings)} settings are there twice", file=sys.stderr)
    configs = {name: _config(name, changes) for name, changes in runs.items()}  # a wrong one ends here
    with StopFlag() as stop:
        codes = {name: train(workdir / name, changes, stop) for name, changes in runs.items()}
    report(workdir, configs)
    failed = [name for name, code in codes.items() if code != Code.DONE]
    if failed:
        what = f"{len(failed)} of {len(codes)} runs failed"
        raise Failure(known_code(codes[failed[0]]), what, some(failed, 5, f"and {len(failed) - 5} more"))


def _config(name: str, changes: Changes) -> Config:
    """The config of a run; raises Failure, with the run's name."""
    try:
        return command.config(overrides(changes))
    except Failure as failure:
        found = "; ".join(filter(None, (failure.found, f"in run {name}")))
        raise dataclasses.replace(failure, found=found) from None


def _is_changes(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def plain(value: Any) -> Any:
    """A value as Python's own types, which is how the command line can give it to a run."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return type(value)(map(plain, value)) if type(value) in (tuple, list) else value


def names_of(settings: Sequence[Changes]) -> list[str]:
    """The directory of each run: what it changes, as far as a file name can say it.

    A hash of the changes is added where the name is too long, or is also that of other changes, perhaps on a file system
    that takes capitals for small letters.
    """
    shown, owners = list(map(_shown, settings)), collections.defaultdict(set)
    for changes, name in zip(settings, shown, strict=True):
        owners[_folded(name)].add(_arguments(changes))
    names = []
    for changes, name in zip(settings, shown, strict=True):
        if len(owners[_folded(name)]) > 1 or len(name.encode()) > NAME_BYTES:
            digest = "-" + hashlib.sha256("\n".join(_arguments(changes)).encode()).hexdigest()[:10]
            name = name.encode()[: NAME_BYTES - len(digest)].decode(errors="ignore") + digest
        names.append(name)
    return names


def _folded(name: str) -> str:
    """What names have in common that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _shown(changes: Changes) -> str:
    parts = [f"{name.rpartition('.')[2]}={value}" for name, value in changes.items()]
    return "".join(c if c.isalnum() or c in "=.,-_" else "_" for c in ",".join(parts)) or "base"


def _arguments(changes: Changes) -> tuple[str, ...]:
    """The flags of a run that make its changes."""
    return tuple(f"--config.{name}={override.text}" for name, override in overrides(changes).items())


def overrides(changes: Changes) -> dict[str, Override]:
    """What one run changes, as the command line would have it."""
    return {name: Override(value, repr(value)) for name, value in changes.items()}


def train(workdir: Path, changes: Changes, stop: StopFlag) -> int:
    """The exit code of one run; raises Failure, after the run has saved, where a signal stopped the run or the sweep."""
    arguments = ["--config", flags.FLAGS.config, "--workdir", str(workdir), *(["--tiny"] if flags.FLAGS.tiny else [])]
    given = command.given_overrides() | overrides(changes)
    arguments += [f"--config.{name}={override.text}" for name, override in given.items()]
    say(f"\n{workdir}")
    run, asked = subprocess.Popen([sys.executable, "-m", "experiments.train", *arguments]), False
    while (code := _ended(run)) is None:
        if stop.should_stop is not None and not asked:
            # A terminal or a scheduler may have asked the run too: a warning can come twice, unlike SIGTERM and SIGINT.
            run.send_signal(signal.SIGUSR1)
            asked = True
    if stop.should_stop is not None or code in STOPPED or code < 0:
        raise Failure(stop.should_stop or Code.INTERRUPTED, f"{workdir} was stopped", hint="the same command resumes")
    return code


def _ended(run: subprocess.Popen) -> int | None:
    try:
        return run.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def known_code(code: int) -> Code:
    """An exit code of a run as one of ours; any other is a fault."""
    return Code(code) if code in set(Code) else Code.FAULT


def report(workdir: Path, configs: dict[str, Config]) -> None:
    """Prints the result of every run, by its task's headline metric."""
    rows, metrics = [], []
    for name, config in configs.items():
        result, metric = read_result(Workdir(workdir / name)), headline(config)
        split = reported_split(result["metrics"]) if result else ""
        counts = [result[count] for count in ("parameters", "flops_per_example")] if result else ["-"] * 2
        rows.append([name, *counts, split, result["metrics"][split][metric] if result else "-"])
        metrics += [metric] if metric not in metrics else []
    say(table(["run", "parameters", "flops_per_example", "split", " or ".join(metrics)], rows))


def headline(config: Config) -> str:
    """The headline metric of a config's task."""
    return member(tasks, config.task.kind, "task.kind").headline


if __name__ == "__main__":
    command.run(main)
