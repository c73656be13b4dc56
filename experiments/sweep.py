"""Trains a config once for each setting of a sweep, one after the other; run again, it resumes.

python -m experiments.sweep --config configs/imagenet.py:fig5 --sweep experiments/sweeps/fig5.py --workdir runs/fig5

A sweep file has `get_sweep()`: a list of dictionaries, each the fields that one run changes, by dotted name.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import say
from perceiver_jax.report.selection import reported_split
from perceiver_jax.report.tables import table
from perceiver_jax.settings import files
from perceiver_jax.settings.overrides import Override

flags.DEFINE(command.PATH, "workdir", None, "Directory for the runs, one subdirectory per setting.")
flags.DEFINE(command.PATH, "sweep", None, "File whose get_sweep() lists what each run changes.")
command.define_config()


def main() -> None:
    settings = files.call(Path(command.require("sweep")), "sweep", "get_sweep")
    if not isinstance(settings, list) or not all(isinstance(changes, dict) for changes in settings):
        raise Failure(Code.CONFIG, f"sweep {flags.FLAGS.sweep}", "get_sweep must return a list of dictionaries")
    workdir = Path(command.require("workdir"))
    for changes in settings:
        command.config(overrides(changes))  # a wrong one ends here, before the first has begun
    runs = {name_of(changes): changes for changes in settings}
    codes = {name: train(workdir / name, changes) for name, changes in runs.items()}
    report(workdir, codes)
    failed = [name for name, code in codes.items() if code != Code.DONE]
    if failed:
        raise Failure(Code(codes[failed[0]]), f"{len(failed)} of {len(codes)} runs failed", ", ".join(failed))


def name_of(changes: dict[str, Any]) -> str:
    """The directory of one run: what it changes, as far as a file name can say."""
    parts = [f"{name.rpartition('.')[2]}={value}" for name, value in changes.items()]
    return "".join(c if c.isalnum() or c in "=.,-_" else "_" for c in ",".join(parts)) or "base"


def overrides(changes: dict[str, Any]) -> dict[str, Override]:
    """What one run changes, as the command line would have it."""
    return {name: Override(value, repr(value)) for name, value in changes.items()}


def train(workdir: Path, changes: dict[str, Any]) -> int:
    """The exit code of one run; stops the sweep where a signal stopped the run."""
    arguments = ["--config", flags.FLAGS.config, "--workdir", str(workdir), *(["--tiny"] if flags.FLAGS.tiny else [])]
    given = command.given_overrides() | overrides(changes)
    arguments += [f"--config.{name}={override.text}" for name, override in given.items()]
    say(f"\n{workdir}")
    code = subprocess.run([sys.executable, "-m", "experiments.train", *arguments]).returncode
    if code in (Code.TERMINATED, Code.INTERRUPTED) or code < 0:
        raise Failure(Code.INTERRUPTED, f"{workdir} was stopped", hint="the same command resumes")
    return code


def report(workdir: Path, codes: dict[str, int]) -> None:
    """Prints the result of every run."""
    rows = []
    for name in codes:
        file = workdir / name / "result.json"
        result = json.loads(file.read_text()) if file.exists() else None
        split = reported_split(result["metrics"]) if result else ""
        counts = [result[count] for count in ("parameters", "flops_per_example")] if result else ["-"] * 2
        rows.append([name, *counts, split, result["metrics"][split]["accuracy"] if result else "-"])
    say(table(["run", "parameters", "flops_per_example", "split", "accuracy"], rows))


if __name__ == "__main__":
    command.run(main)
