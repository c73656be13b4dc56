"""Runs of several configs as one list: what each came to, how far those at work are, and what is waited for."""

import io
import json
import sys
import time

import pytest

from configs import digits
from experiments.sweeping import run
from experiments.sweeping.points import Base, points_of
from experiments.sweeping.run import Watch, await_orphans, check, run_points
from perceiver_jax.errors import Code, Failure
from perceiver_jax.launch import jobs
from perceiver_jax.launch.local import Local
from perceiver_jax.report.board import Board, Row
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.report.log import read_latest
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.runs.problem import resolve
from perceiver_jax.settings.config import parse
from perceiver_jax.settings.overrides import read
from perceiver_jax.system import locks
from perceiver_jax.system.signals import StopFlag

RESULT = {"step": 5, "parameters": 1, "flops_per_example": 2, "seconds": 3.0, "state_sha256": "x"}
TRAIN = """
import sys
from pathlib import Path
place = Path(sys.argv[sys.argv.index("--workdir") + 1])
text = sys.argv[1]
if "seed=2" in str(place):
    print("error[5] loss is nan: step 3"); sys.exit(5)
(place / "result.json").write_text(text)
"""


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """Runs points, each launch a small program: their outcomes, and how the list ends."""
    result = json_text(RESULT | {"metrics": {"test": {"accuracy": 0.5}, "train": {}}})
    job_of = run.job_of

    def small(point, base):
        job = job_of(point, base)
        return jobs.Job(job.name, (sys.executable, "-c", TRAIN, result, *job.words[3:]), job.log)

    monkeypatch.setattr(run, "job_of", small)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)

    def launched(points, origin="table 6"):
        stop = StopFlag()
        outcomes = run_points(points, tmp_path / "runs", Local(2), stop, origin, {"train.duration": read("7 steps")}, False)
        return outcomes, stop

    return launched


def test_runs_of_several_configs_are_one_list(launched, tmp_path):
    points = [("configs/digits.py", {"seed": 1}), ("configs/digits.py", {"seed": 2}), ("configs/mnist5k.py:quickstart", {})]
    outcomes, stop = launched(points)
    assert [(one.point.name, one.state, one.code, one.score) for one in outcomes] == [
        ("config=digits,seed=1", "done", None, 0.5),
        ("config=digits,seed=2", "failed", 5, None),
        ("config=mnist5k_quickstart", "done", None, 0.5),
    ]
    assert [one.point.config.train.duration for one in outcomes] == ["7 steps"] * 3
    assert outcomes[1].error == "error[5] loss is nan: step 3"
    with pytest.raises(Failure, match="1 of 3 runs failed: config=digits,seed=2") as failure:
        check(outcomes, stop)
    assert failure.value.code == Code.NUMERICS
    with pytest.raises(Failure, match="holds a sweep of another config\n  found: table 6\n  expected: table 7"):
        launched(points, "table 7")
    (tmp_path / "runs/config=digits,seed=1/result.json").write_text("{")
    first, *_ = launched(points)[0]
    assert (first.state, first.code) == ("failed", Code.CHECKPOINT)  # a damaged result is named, not trained over
    assert "result.json: is damaged" in first.error
    assert first.error.endswith("delete it and launch the run again: it is made again")


@pytest.fixture
def point(tmp_path):
    """A point whose run has begun: it has six steps."""
    config = parse(digits.get_config(), shrink=True)
    base = Base("configs/digits.py", {}, True)
    (point,) = points_of(base, [{}], tmp_path, pytest.fail, [])
    with workdirs.claim(str(point.workdir.path), config, ["train"]):
        workdirs.write_problem(point.workdir, resolve(config))
    return point


def test_a_run_at_work_is_shown_as_far_as_it_has_come(point):
    lines = [{"step": 3, "split": "test", "accuracy": 0.25}, {"step": 4, "split": "train", "loss": "NaN"}]
    point.workdir.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 5, "spl')
    stream = io.StringIO()
    with Board([Row("base", "waiting")], stream=stream) as board:
        watch = Watch(board)
        assert not watch.look([point])  # at once, but it is no time for more
        assert board._rows["base"] == Row("base", "running", 4, 6, 0.25, "test accuracy")
        point.workdir.metrics.write_text(json.dumps(lines[0] | {"step": 6}) + "\n")
        watch.look([point])
        assert board._rows["base"].step == 4
        watch._looked -= 2 * run.REFRESH_SECONDS
        assert watch.look([point])
        assert board._rows["base"].step == 6


def test_the_newest_records_are_read_from_the_end_of_a_long_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_latest(path) == {}
    early = json.dumps({"step": 1, "split": "test", "accuracy": 0.1})
    later = [json.dumps({"step": step, "split": "train", "loss": "Infinity"}) for step in range(2, 3000)]
    path.write_text("\n".join([early, *later]) + "\n")
    assert read_latest(path) == {"train": {"step": 2999, "split": "train", "loss": float("inf")}}


def test_a_run_whose_launcher_was_killed_is_waited_for(point, monkeypatch):
    """Another process holds its directory until it has saved."""
    held, told = [], []

    def busy(path, where, in_use, shared):
        held.append(shared)
        if len(held) < 3:
            raise in_use("pid 7 on here since 12:00 UTC")
        return locks_held(path, where, in_use, shared)

    locks_held = locks.held
    monkeypatch.setattr(locks, "held", busy)
    monkeypatch.setattr(run, "POLL_SECONDS", 0.0)
    await_orphans([point], StopFlag(), told.append)
    assert held == [True] * 3
    (line,) = told
    assert line.startswith("base is being trained by pid 7 on here")
    monkeypatch.setattr(run, "ORPHAN_SECONDS", 0.0)
    began = time.monotonic()
    await_orphans([point], StopFlag(), told.append)
    assert time.monotonic() - began < 5
