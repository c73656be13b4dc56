"""However a run is stopped and wherever it resumes, it ends with the numbers of the run that nobody disturbed."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from perceiver_jax.errors import Code, Stopped
from perceiver_jax.report.log import read_metrics
from perceiver_jax.runs import train, workdir
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system import signals
from perceiver_jax.training import manifest
from tests.launch import SMALL, problem_of

STEPS, SAVE_EVERY, RESUMES = 30, 5, 12
SETTINGS = [
    *SMALL,
    f"--config.train.duration={STEPS} steps",
    f"--config.train.checkpoint_every={SAVE_EVERY} steps",
    "--config.train.eval_every=10 steps",
    "--config.train.keep_checkpoints=10",
]
LEARNED = ("loss", "accuracy", "mean_class_accuracy", "top5", "grad_norm", "learning_rate")  # what no clock has a part in


def learned(path):
    """What the run learned, by (step, split)."""
    return {
        (record["step"], record["split"]): {name: record[name] for name in LEARNED if name in record}
        for record in read_metrics(path / "metrics.jsonl")
    }


def state_sha256(path):
    return json.loads((path / "result.json").read_text())["state_sha256"]


def begun(path):
    """The checkpoints of a run under way."""
    return manifest.steps(path / "checkpoints")


@pytest.fixture(scope="module")
def quiet(launcher, once):
    """The workdir of a run that nobody disturbed."""
    path = once("quiet", lambda path: launcher.finish(path, *SETTINGS))
    assert set(learned(path)) == {(s, "train") for s in range(1, STEPS + 1)} | {(s, "test") for s in (10, 20, 30)}
    return path


def copy_of(quiet, path):
    """A copy of the quiet run that has not noticed its end yet."""
    shutil.copytree(quiet, path)
    (path / "result.json").unlink()
    return path


def damage(step):
    """Turns one bit of the largest file of a saved step."""
    path = max((path for path in step.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def assert_equal_runs(path, quiet):
    assert state_sha256(path) == state_sha256(quiet)
    assert learned(path) == learned(quiet)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    keys = [(line["step"], line["split"]) for line in lines]
    assert len(keys) == len(set(keys))
    assert manifest.newest_valid(path / "checkpoints", set_aside=False)[0] == STEPS
    assert not list(path.rglob(".tmp-*"))


def test_a_run_killed_five_times_ends_as_the_quiet_one(launcher, quiet, tmp_path):
    rng, path = random.Random(0), tmp_path / "run"
    for kill in range(5):
        run = launcher.train(path, *SETTINGS)
        if kill:  # the first one dies wherever it is in its start, the others among steps, saves and evaluations
            first = begun(path)[-1] if begun(path) else 0
            run.until(f"\nstep {rng.randrange(first + 1, first + 7)}/" if first else "step 1/")
        time.sleep(rng.uniform(0, 0.3))
        assert run.kill(signal.SIGKILL) == -signal.SIGKILL
        for step in begun(path):
            manifest.verify(path / "checkpoints", step)
        assert not (path / "result.json").exists()
    launcher.finish(path, *SETTINGS)
    assert_equal_runs(path, quiet)


def test_a_run_asked_to_stop_saves_where_it_is_and_a_second_trainer_keeps_off(launcher, quiet, tmp_path):
    path = tmp_path / "run"
    for number, code, step in ((signal.SIGTERM, 143, 3), (signal.SIGINT, 130, 12), (signal.SIGUSR1, 138, 18)):
        run = launcher.train(path, *SETTINGS).until(f"step {step}/")
        if number == signal.SIGTERM:
            os.kill(run.pid, signal.SIGSTOP)
            second = launcher.train(path, *SETTINGS)
            assert second.wait() == Code.WORKDIR
            assert second.stderr.startswith(f"error[6] workdir {path}: in use by pid {run.pid} on ")
            assert "step" not in second.stderr
            os.kill(run.pid, signal.SIGCONT)
        assert run.kill(number) == code
        stopped = int(re.search(r"^stopped at step (\d+); the same command resumes$", run.stderr, re.M)[1])
        assert step <= stopped < STEPS
        assert begun(path)[-1] == stopped
        manifest.verify(path / "checkpoints", stopped)
    run = launcher.train(path, *SETTINGS)
    assert run.wait() == 0
    assert f"resumed at step {stopped}\n" in run.stderr
    assert_equal_runs(path, quiet)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_leads_to_the_same_end(launcher, quiet, tmp_path):
    """The log interval is changed as well, as it may be."""
    path = copy_of(quiet, tmp_path / "run")
    for step in (25, 30):
        damage(path / "checkpoints" / str(step))
    run = launcher.train(path, *SETTINGS, "--config.train.log_every=5 steps")
    assert run.wait() == 0, run.stderr
    for step in (25, 30):
        assert re.search(rf"^warning: step {step} rejected: \S+: sha256 differs; using 20$", run.stderr, re.M)
    assert "resumed at step 20\n" in run.stderr
    assert state_sha256(path) == state_sha256(quiet)
    assert sorted(step.name for step in (path / "checkpoints").glob("*.rejected")) == ["25.rejected", "30.rejected"]
    steps = [step for step, split in learned(path) if split == "train"]
    assert steps == [*range(1, 21), 25, 30]


def test_without_any_valid_checkpoint_a_run_does_not_begin_again(launcher, quiet, tmp_path):
    path = copy_of(quiet, tmp_path / "run")
    for step in begun(path):
        damage(path / "checkpoints" / str(step))
    metrics = (path / "metrics.jsonl").read_bytes()
    run = launcher.train(path, *SETTINGS)
    assert run.wait() == Code.CHECKPOINT
    assert run.stderr.startswith(f"error[4] no valid checkpoint: in {path}/checkpoints\n  found: step 30: ")
    assert run.stderr.endswith("  try: restore a step from a copy; to start over, use a new --workdir\n")
    assert (path / "metrics.jsonl").read_bytes() == metrics
    assert begun(path) == list(range(SAVE_EVERY, STEPS + 1, SAVE_EVERY))


def test_a_run_does_not_go_on_with_another_batch_size(launcher, quiet, tmp_path):
    path = copy_of(quiet, tmp_path / "run")
    run = launcher.train(path, *SETTINGS, "--config.data.batch_size=16")
    assert run.wait() == Code.CONFIG
    lines = [f"error[2] workdir {path} holds a run with other settings", "  found: data.batch_size 8 -> 16"]
    assert run.stderr.splitlines() == [*lines, "  try: a new --workdir"]


def test_workers_hash_seed_directory_and_a_cold_cache_change_nothing(quiet, tmp_path):
    """All at once, in a process that shares nothing with the quiet run's."""
    root = os.getcwd()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"PYTHONPATH": root, "PYTHONHASHSEED": "7", "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    environment |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "experiments.train", "--config", f"{root}/configs/digits.py", "--workdir", "a/run"]
    changes = ["--config.data.num_workers=1", "--config.data.prefetch_batches=1", "--config.data.eval_batch_size=64"]
    changes += [f"--config.train.eval_every={STEPS} steps"]  # each evaluation restarts the workers: seconds
    settings = [setting for setting in SETTINGS if "eval_" not in setting]
    run = subprocess.run([*command, *settings, *changes], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert state_sha256(tmp_path / "a" / "run") == state_sha256(quiet)


class Asked(signals.StopFlag):
    """Asks to stop when a test says so."""

    should_stop = None


def test_a_run_resumed_after_every_step_ends_as_the_quiet_one(quiet, tmp_path, monkeypatch):
    """Here, in one process, with the same programs for all launches: they then share what is compiled."""
    problem, path = problem_of(*SETTINGS), tmp_path / "run"
    shared = Programs(problem)
    monkeypatch.setattr(train, "Programs", lambda problem: shared)
    step, stop = shared.step, Asked()

    def one(state, batch):
        stop.should_stop = Code.TERMINATED
        return step(state, batch)

    shared.step = one
    for stopped in range(1, RESUMES + 1):
        stop.should_stop = None
        with workdir.claim(str(path), problem.config, []) as place, pytest.raises(Stopped) as caught:
            train.train(problem, place, stop, train.Options())
        assert (caught.value.step, begun(path)[-1]) == (stopped, stopped)
    shared.step, stop.should_stop = step, None
    with workdir.claim(str(path), problem.config, []) as place:
        train.train(problem, place, stop, train.Options())
    assert_equal_runs(path, quiet)
