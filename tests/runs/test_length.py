"""A run takes another length where what it has learned is what a run of that length learns, and nowhere else."""

import json
import shutil

import pytest

from perceiver_jax.errors import Failure
from perceiver_jax.runs import workdir
from perceiver_jax.runs.length import check_length
from perceiver_jax.settings.config import lasting
from perceiver_jax.training import checkpoint, manifest
from scripts.faults.campaign import learned
from tests.launch import SMALL, config_of, problem_of
from tests.runs.test_resume import state_sha256

CONSTANT = '--config.optim.schedule={"kind": "constant"}'
EVERY = [f"--config.train.{name}=4 steps" for name in ("eval_every", "checkpoint_every")]
SETTINGS = [*SMALL, *EVERY, CONSTANT]
SCHEDULES = {
    "constant": CONSTANT,
    "flat_cosine": '--config.optim.schedule={"kind": "flat_cosine", "flat_fraction": 0.5}',
    "steps": '--config.optim.schedule={"kind": "steps", "milestones": (0.5, 0.75), "factor": 0.1}',
}


def of_length(duration):
    return f"--config.train.duration={duration}"


def claim(path, *settings):
    """Begins a launch that learns nothing."""
    with workdir.claim(str(path), config_of(*settings), ["train"]) as claimed:
        return claimed


def refused(path, *settings):
    with pytest.raises(Failure) as caught:
        claim(path, *settings)
    return str(caught.value)


@pytest.fixture(scope="module")
def short(launcher, once):
    """The workdir of a run of 6 steps that has come to its end."""
    return once("short", lambda path: launcher.finish(path, *SETTINGS, of_length("6 steps")))


def test_a_longer_run_ends_as_if_it_had_been_so_from_the_start(short, launcher, tmp_path, capsys):
    """Longer twice, before it has saved anything of the first time."""
    launcher.finish(tmp_path / "whole", *SETTINGS, of_length("12 steps"))
    longer = shutil.copytree(short, tmp_path / "longer")
    claimed = claim(longer, *SETTINGS, of_length("9 steps"))
    assert capsys.readouterr().err == "note: the run is now 9 steps long, was 6\n"
    assert not claimed.result.exists()
    run = launcher.train(longer, *SETTINGS, of_length("96 examples"))
    assert run.wait() == 0, run.stderr
    assert "note: the run is now 12 steps long, was 9\n" in run.stderr
    assert "resumed at step 6\n" in run.stderr
    assert state_sha256(longer) == state_sha256(tmp_path / "whole")
    found, whole = learned(longer), learned(tmp_path / "whole")
    assert {key: found[key] for key in whole} == whole
    assert set(found) - set(whole) == {(6, "test")}
    assert json.loads((longer / "result.json").read_text())["step"] == 12


def test_a_run_is_never_shorter_than_what_is_done(short, tmp_path):
    path = shutil.copytree(short, tmp_path / "run")
    before = [(path / name).read_bytes() for name in ("config.json", "result.json")]
    assert refused(path, *SETTINGS, of_length("5 steps")) == (
        f"error[2] workdir {path} holds a run of 6 steps done: it cannot be made as short as 5\n"
        '  found: train.duration "6 steps" -> "5 steps"\n'
        "  try: a new --workdir"
    )
    assert [(path / name).read_bytes() for name in ("config.json", "result.json")] == before
    claim(path, *SETTINGS, of_length("4000 steps"))  # not meant, and taken back
    claim(path, *SETTINGS, of_length("6 steps"))
    assert json.loads((path / "config.json").read_text())["earlier_durations"] == ["6 steps", "4000 steps"]


def test_devices_that_do_not_fit_are_told_before_anything_is_changed(short, tmp_path):
    path = shutil.copytree(short, tmp_path / "run")
    before = [(path / name).read_bytes() for name in ("config.json", "result.json")]
    said = refused(path, *SETTINGS, of_length("9 steps"), "--config.mesh.model=2")
    assert said == "error[2] mesh.model 2 does not divide 1 devices; try 1"
    assert [(path / name).read_bytes() for name in ("config.json", "result.json")] == before


def test_nothing_else_may_change_with_the_length(short, tmp_path):
    path = shutil.copytree(short, tmp_path / "run")
    said = refused(path, *SETTINGS, of_length("9 steps"), "--config.seed=1")
    assert said.startswith(f"error[2] workdir {path} holds a run with other settings\n  found: seed 0 -> 1; train.duration")


def test_a_checkpoint_of_another_length_is_this_runs_only_where_that_is_recorded(short):
    """In its config.json, which may be gone."""
    saved, data = manifest.verify(short / "checkpoints", 6), problem_of(*SETTINGS).fingerprint
    before, now = (lasting(config_of(*SETTINGS, of_length(f"{count} steps"))) for count in (6, 12))
    prints = checkpoint.fingerprints(now, data, "1 x cpu")
    checkpoint.compare(saved, prints, ["other", checkpoint.settings_sha256(before)])
    with pytest.raises(Failure, match="checkpoint 6 was trained with other settings"):
        checkpoint.compare(saved, prints, ["other"])


def verdict(kind, before, after, done):
    """What is found wrong with another length."""
    problems = [problem_of(*SMALL, SCHEDULES[kind], of_length(f"{length} steps")) for length in (before, after)]
    try:
        check_length("workdir a", *problems, done)
    except Failure as failure:
        return failure.found.partition("; ")[2]
    return ""


@pytest.mark.parametrize(
    ("kind", "before", "after", "done", "wrong"),
    [
        ("constant", 20, 2000, 20, ""),
        ("constant", 20, 10, 10, ""),
        ("flat_cosine", 20, 40, 0, ""),
        ("flat_cosine", 20, 40, 11, ""),  # the cosine begins at the peak
        ("flat_cosine", 20, 40, 12, "the rate of step 12 was 0.00975528, with the other length it is 0.01"),
        ("flat_cosine", 20, 40, 20, "the rate of step 12 was 0.00975528, with the other length it is 0.01"),
        ("flat_cosine", 20, 16, 9, ""),
        ("flat_cosine", 20, 16, 10, "the rate of step 10 was 0.01, with the other length it is 0.0096194"),
        ("steps", 20, 40, 10, ""),
        ("steps", 20, 40, 11, "the rate of step 11 was 0.001, with the other length it is 0.01"),
        ("steps", 20, 21, 16, "the rate of step 16 was 0.0001, with the other length it is 0.001"),
        ("steps", 20, 20, 20, ""),
    ],
)
def test_the_learning_rates_decide(kind, before, after, done, wrong):
    assert verdict(kind, before, after, done) == wrong


def test_a_schedule_that_does_not_allow_it_is_explained_with_what_does(tmp_path):
    settings = [*SMALL, SCHEDULES["flat_cosine"]]
    claimed = claim(tmp_path, *settings, of_length("20 steps"))
    workdir.write_problem(claimed, problem_of(*settings))
    (claimed.checkpoints / "20").mkdir()
    assert refused(tmp_path, *settings, of_length("40 steps")) == (
        f"error[2] workdir {tmp_path} holds a run whose schedule has another length\n"
        '  found: train.duration "20 steps" -> "40 steps"; the rate of step 12 was 0.00975528, with the other length it is'
        " 0.01\n"
        "  expected: the same learning rate in each of the 20 steps done\n"
        "  try: a new --workdir, from the start or from this run's parameters (--init_from)"
    )
