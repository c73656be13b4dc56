"""A run begins with another run's parameters, as far as they match, and needs that run no longer once it has begun."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs import start, workdir
from perceiver_jax.runs.load import load
from perceiver_jax.runs.programs import Programs
from perceiver_jax.training import checkpoint, manifest
from tests.launch import SMALL, config_of, problem_of
from tests.runs.test_resume import state_sha256

SOURCE = [
    *SMALL,
    "--config.train.duration=4 steps",
    "--config.train.checkpoint_every=2 steps",
    "--config.train.eval_every=4 steps",
    "--config.optim.learning_rate=0.1",
    "--config.optim.ema_decay=0.5",
]
OTHER = ["--config.seed=5", "--config.optim.kind=adamw", "--config.optim.ema_decay=None"]
WHERE = {"--config.model.num_latents=5": "latents", "--config.model.positions.num_bands=3": "cross_attends.0.key.kernel"}


@pytest.fixture(scope="module")
def source(launcher, once):
    """The workdir of a trained run with a running mean of its parameters, at steps 2 and 4."""
    return once("source", lambda path: launcher.finish(path, *SOURCE))


def claimed(path, *settings):
    """The workdir of a new run."""
    with workdir.claim(str(path), config_of(*settings), ["train"]) as place:
        return place


def named(tree):
    """Arrays by name."""
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in pairs}


def begun(source, path, *settings, classes=None, step=None):
    """A new run's state, what was said of it, its own initial state, and what the source answers with."""
    problem, run = problem_of(*SMALL, *settings), load(source, step)
    if classes is not None:
        problem = dataclasses.replace(problem, classes=classes)
    programs = Programs(problem)
    state, words = start.begin_with(programs, run, claimed(path, *SMALL, *settings))
    assert jax.tree.map(np.shape, state) == jax.tree.map(np.shape, programs.initial_state())
    return state, words, programs.initial_state(), named(run.variables.params)


@pytest.mark.parametrize("step", [2, None])
def test_the_parameters_are_those_that_the_source_answers_with_and_all_else_is_new(source, tmp_path, step):
    state, words, new, answers = begun(source, tmp_path, *OTHER, step=step)
    params = named(state.params)
    assert words == f"{len(params)} of {len(params)} parameters from {source} at step {step or 4}"
    for name, array in answers.items():
        np.testing.assert_array_equal(params[name], array)
    trained = named(load(source, step).programs.restore(source / "checkpoints", step or 4).params)
    assert any((trained[name] != params[name]).any() for name in params)  # the mean is not the newest
    for one, other in zip(*map(jax.tree.leaves, (state.opt_state, new.opt_state)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(state.step) == 0


@pytest.mark.parametrize(("setting", "name"), WHERE.items())
def test_what_has_another_shape_stays_as_a_new_run_has_it(source, tmp_path, setting, name):
    state, words, new, answers = begun(source, tmp_path, setting)
    taken, kept = named(state.params), named(new.params)
    assert f"{name} {answers[f'{name}.value'].shape} here {taken[f'{name}.value'].shape}" in words
    differ = [one for one in taken if taken[one].shape != answers[one].shape]
    assert f"{name}.value" in differ
    assert words.startswith(f"{len(taken) - len(differ)} of {len(taken)} parameters from {source} at step 4; not: ")
    for one in taken:
        np.testing.assert_array_equal(taken[one], (kept if one in differ else answers)[one])


@pytest.mark.parametrize("count", [3, 10])
def test_of_other_classes_the_outputs_stay_as_a_new_run_has_them(source, tmp_path, count):
    """Also where they are as many."""
    state, words, new, answers = begun(source, tmp_path, classes=tuple(f"kind {i}" for i in range(count)))
    taken, kept = named(state.params), named(new.params)
    heads = [name for name in taken if name.startswith("head.")]
    assert len(heads) == 2
    assert words.startswith(f"{len(taken) - 2} of {len(taken)} parameters")
    why = "(8, 10) of other classes" if count == 10 else f"(8, 10) here (8, {count})"
    assert f"head.logits.kernel {why}" in words
    for name in taken:
        np.testing.assert_array_equal(taken[name], (kept if name in heads else answers)[name])
    assert any((answers[name] != 0).any() for name in heads)
    for name, mean in named(state.ema).items():
        np.testing.assert_array_equal(mean, taken[name])  # so that it answers even before its first step


def test_parameters_that_one_of_the_runs_lacks_are_named():
    shape = np.zeros((2, 3))
    assert start._left(shape, {}, "a") == "(2, 3) only here"
    assert start._left(shape, {"a": shape}, "a") == "(2, 3) of other classes"
    assert start._left(shape, {"a": shape.T}, "a") == "(3, 2) here (2, 3)"


def test_a_run_of_which_nothing_matches_is_no_source(source, tmp_path):
    settings = ["--config.model.num_latents=5", "--config.model.latent_channels=12", "--config.model.positions.num_bands=3"]
    with pytest.raises(Failure, match=r"^error\[4\] 0 of 21 parameters from .*; not: .*, and \d+ more") as caught:
        begun(source, tmp_path, *settings, classes=("a", "b"))
    assert caught.value.code == Code.CHECKPOINT
    assert "init_from" not in json.loads((tmp_path / "config.json").read_text())


def test_a_damaged_state_is_no_source(source, tmp_path):
    path = shutil.copytree(source, tmp_path / "source")
    (path / "checkpoints" / "4" / "manifest.json").write_text("{}")
    place = claimed(tmp_path / "run", *SMALL)
    with pytest.raises(Failure, match="step 4 rejected"):
        start.source_of(place, f"{path}:4")
    assert start.source_of(place, str(path)).step == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{source}:3", "no checkpoint at {source}/checkpoints/3"),
        ("{source}:x", "no run at {source}:x"),
        ("{source}s", "no run at {source}s"),
        ("", "no run at "),
    ],
)
def test_a_source_that_is_not_there_is_named(source, tmp_path, text, words):
    with pytest.raises(Failure) as caught:
        start.source_of(claimed(tmp_path, *SMALL), text.format(source=source))
    assert str(caught.value).startswith(f"error[4] {words.format(source=source)}")
    assert "--workdir" not in caught.value.hint


def test_a_run_goes_on_without_its_source(source, launcher, tmp_path):
    """Resumed from before its first step, bit for bit; another source is refused."""
    moved = shutil.copytree(source, tmp_path / "moved")
    settings = [*SOURCE, *OTHER, "--config.train.keep_checkpoints=9"]
    path, flag = tmp_path / "run", [f"--init_from={moved}:2"]
    run = launcher.train(path, *settings, *flag)
    assert run.wait() == 0, run.stderr
    assert f"21 of 21 parameters from {moved} at step 2\n" in run.stderr
    sha = state_sha256(path)
    record = json.loads((path / "config.json").read_text())["init_from"]
    state = manifest.verify(source / "checkpoints", 2).state_sha256
    assert record == {"run": str(moved), "step": 2, "state_sha256": state}
    shutil.rmtree(moved)
    (path / "result.json").unlink()
    for step in (2, 4):
        shutil.rmtree(path / "checkpoints" / str(step))
    run = launcher.train(path, *settings, *flag)
    assert run.wait() == 0, run.stderr
    assert "resumed at step 0\n" in run.stderr
    assert state_sha256(path) == sha
    place = workdir.Workdir(path)
    for again in (None, str(moved), f"{moved}:2"):
        assert start.source_of(place, again) is None
    for other in (str(source), f"{moved}:4"):
        with pytest.raises(Failure) as caught:
            start.source_of(place, other)
        first = f"error[2] workdir {path} holds a run that began from {moved} at step 2\n  found: --init_from {other}"
        assert str(caught.value) == f"{first}\n  try: a new --workdir"


def test_a_run_that_began_by_itself_takes_no_source(source, tmp_path):
    place = claimed(tmp_path, *SMALL)
    assert start.source_of(place, None) is None
    (place.checkpoints / "2").mkdir()
    assert start.source_of(place, None) is None
    with pytest.raises(Failure, match="holds a run that began from its own seed"):
        start.source_of(place, str(source))


def test_a_launch_killed_before_it_saved_begins_with_the_very_same_state(source, tmp_path):
    """The state is recorded first; a source that is no longer the same is refused."""
    moved = shutil.copytree(source, tmp_path / "moved")
    state, *_ = begun(moved, tmp_path / "run")
    place = claimed(tmp_path / "run", *SMALL)
    found = start.source_of(place, None)
    again, _ = start.begin_with(Programs(problem_of(*SMALL)), found, place)
    assert checkpoint.state_sha256(again) == checkpoint.state_sha256(state)
    shutil.rmtree(moved / "checkpoints" / "4")
    with pytest.raises(Failure, match="no checkpoint at"):
        start.source_of(place, None)
    checkpoint.save(moved / "checkpoints", 4, state, manifest.read(source / "checkpoints", 4).fingerprints, 1)
    with pytest.raises(Failure, match="at step 4 is not what this run began with"):
        start.source_of(place, str(moved))
