"""Workdirs as runs leave them, made without training."""

import json
from pathlib import Path

from configs import digits
from perceiver_jax.data.sources import Contents
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.report.log import MetricsLog
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.runs.problem import make
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.settings.config import parse
from perceiver_jax.training import manifest

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
