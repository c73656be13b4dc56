"""Workdirs as runs leave them, made without training."""

import dataclasses
import json
from pathlib import Path

from ml_collections import ConfigDict

from configs import digits
from experiments import tables
from experiments.reproduction.points import as_overrides, config_of
from perceiver_jax.data.sources import Contents
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.report.log import MetricsLog
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.runs.problem import make
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.settings import overrides
from perceiver_jax.settings.config import Config, dump, parse, read
from perceiver_jax.training import manifest
from perceiver_jax.training.checkpoint import code_version

ROOT = Path(__file__).parents[1]
RESULT = {
    "step": 4,
    "state_sha256": "ab" * 32,
    "parameters": 12_345,
    "flops_per_example": 6_789_000,
    "metrics": {"train": {"loss": 0.5}, "test": {"accuracy": 0.75, "loss": 0.9}},
    "best_by_test": {"step": 2, "test": {"accuracy": 0.875, "loss": 0.8}},
    "seconds": 83.0,
    "time": {"launch": 60.5, "data_wait": 1.25},
    "peak_memory_bytes": {"process": 2_000_000_000, "device": None},
}
FINGERPRINTS = {"config": "c", "data": "d", "code": "0.2.0, sources 12", "numerics": "jax 1.2.3, 1 x cpu"}


def past_run(path: Path, *flags: str, classes=("zero", "one"), finished: bool = True, launches=(0,)) -> Workdir:
    """The workdir of a run of the digits config, 4 steps long, with a log, a checkpoint and a result.

    The flags `--config.model.NAME=NUMBER` and the like are applied and stand in the command; `launches` are the steps at
    which one began.
    """
    values = digits.get_config()
    values.train.duration = "4 steps"
    for flag in flags:
        name, _, text = flag.removeprefix("--config.").partition("=")
        values.update_from_flattened_dict({name: json.loads(text)})
    config = parse(values)
    command = [str(ROOT / "experiments/train.py"), "--config", "configs/digits.py", "--workdir", str(path)]
    command += ["--config.train.duration=4 steps", *flags]
    with workdirs.claim(str(path), config, command) as workdir:
        workdirs.write_problem(workdir, make(config, Contents(classes, {"train": 100, "test": 20}), fingerprint=""))
        for first in launches:
            with MetricsLog(path, first) as log:
                for step in range(first + 1, 5):
                    rates = {"examples_per_second": 50.0 * step, "data_wait_fraction": 0.25, "seconds": 20.0 * step}
                    log.write(step, "train", {"loss": 1 / step, "accuracy": step / 5} | rates)
                    if step % 2 == 0:
                        log.write(step, "test", {"loss": 1.5 / step, "accuracy": step / 6})
    save(workdir, 4)
    if finished:
        workdir.result.write_text(json_text(RESULT))
    return workdir


def save(workdir: Workdir, step: int) -> None:
    """A checkpoint of a single file."""
    unfinished = workdir.checkpoints / f".tmp-{step}"
    unfinished.mkdir()
    (unfinished / "arrays").write_bytes(b"1234")
    manifest.commit(unfinished, workdir.checkpoints / str(step), FINGERPRINTS, "ab" * 32)


ROW = tables.load("5").small.rows[0].point  # one cross-attend


def changed(config: Config, **changes) -> Config:
    """A config with other settings, by their dotted names with `__` for dots."""
    values = ConfigDict(dump(config))
    named = {name.replace("__", "."): value for name, value in changes.items()}
    overrides.apply(values, as_overrides(named))
    return read(values.to_dict())


def finish(
    path,
    point=ROW,
    accuracy=0.8,
    code=None,
    words=("--config", "configs/fashion_mnist.py"),
    contents=None,
    result=None,
    classes=None,
    **changes,
):
    """A finished run of a point as training leaves it, but for its parameters."""
    config = changed(config_of(point), **changes)
    contents = contents or config.source().contents()
    if classes:
        contents = dataclasses.replace(contents, classes=classes)
    problem = make(config, contents, fingerprint=str(sorted(contents.num_examples.items())))
    with workdirs.claim(str(path), config, ["train", *words]) as workdir:
        workdirs.write_problem(workdir, problem)
    unfinished = workdir.path / "unfinished"
    unfinished.mkdir()
    (unfinished / "arrays").write_bytes(b"1")
    made_of = {"config": "c", "data": "d", "code": code or code_version(), "numerics": "n"}
    manifest.commit(unfinished, workdir.checkpoints / str(problem.num_steps), made_of, "s")
    of = {"test": {"accuracy": accuracy, "loss": 1.0}, "train": {"accuracy": 0.9, "loss": 0.5}}
    whole = {"step": problem.num_steps, "metrics": of, "seconds": 7.0, "parameters": 1, "flops_per_example": 1}
    workdir.result.write_text(json_text(whole | (result or {})))
    return workdir
