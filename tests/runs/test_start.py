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
from tests.runs import test_evaluate
from tests.runs.test_resume import state_sha256

OTHER = ["--config.seed=5", "--config.optim.ema_decay=None"]
source = test_evaluate.run  # a run with a running mean of its parameters, at steps 4 and 8, a fixture


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


def test_the_parameters_are_those_that_the_source_answers_with_and_all_else_is_new(source, tmp_path):
    state, words, new, answers = begun(source, tmp_path, *OTHER, step=4)
    params = named(state.params)
    assert words == f"21 of 21 parameters from {source} at step 4"
    for name, array in answers.items():
        np.testing.assert_array_equal(params[name], array)
    trained = named(load(source, 4).programs.restore(source / "checkpoints", 4).params)
    assert any((trained[name] != params[name]).any() for name in params)  # the mean is not the newest
    for one, other in zip(*map(jax.tree.leaves, (state.opt_state, new.opt_state)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (int(state.step), state.ema) == (0, None)


def test_what_has_another_shape_stays_as_a_new_run_has_it(source, tmp_path):
    state, words, new, answers = begun(source, tmp_path, "--config.model.num_latents=5", classes=("a", "b", "c"))
    assert words == (
        f"18 of 21 parameters from {source} at step 8; not: head.logits.bias (10,) here (3,), "
        "head.logits.kernel (8, 10) here (8, 3), latents (4, 8) here (5, 8)"
    )
    taken, kept = named(state.params), named(new.params)
    differ = [name for name in taken if taken[name].shape != answers[name].shape]
    assert len(differ) == 3
    for name in taken:
        np.testing.assert_array_equal(taken[name], (kept if name in differ else answers)[name])


def test_of_other_classes_the_outputs_stay_as_a_new_run_has_them(source, tmp_path):
    """Also where they are as many; and a launch that is killed before it has saved begins with the very same state."""
    moved, classes = shutil.copytree(source, tmp_path / "moved", ignore=shutil.ignore_patterns("plots")), tuple("abcdefghij")
    state, words, new, answers = begun(moved, tmp_path / "run", classes=classes)
    taken, kept = named(state.params), named(new.params)
    heads = {name for name in taken if name.startswith("head.")}
    why = "head.logits.bias (10,) of other classes, head.logits.kernel (8, 10) of other classes"
    assert words == f"19 of 21 parameters from {moved} at step 8; not: {why}"
    for name in taken:
        np.testing.assert_array_equal(taken[name], (kept if name in heads else answers)[name])
    assert all((answers[name] != 0).any() for name in heads)
    for name, mean in named(state.ema).items():
        np.testing.assert_array_equal(mean, taken[name])  # so that it answers even before its first step
    place = claimed(tmp_path / "run", *SMALL)
    programs = Programs(dataclasses.replace(problem_of(*SMALL), classes=classes))
    again, _ = start.begin_with(programs, start.source_of(place, None), place)
    assert checkpoint.state_sha256(again) == checkpoint.state_sha256(state)
    shutil.rmtree(moved / "checkpoints" / "8")
    with pytest.raises(Failure, match="no checkpoint at"):
        start.source_of(place, None)
    checkpoint.save(moved / "checkpoints", 8, state, manifest.read(source / "checkpoints", 8).fingerprints, 2)
    with pytest.raises(Failure, match="at step 8 is not what this run began with"):
        start.source_of(place, str(moved))


def test_parameters_that_one_of_the_runs_lacks_are_named():
    shape = np.zeros((2, 3))
    assert start._left(shape, {}, "a") == "(2, 3) only here"
    tree = {"cross_attends": [{"value": {"kernel": {"value": shape}}}], "latents": {"value": shape}}
    assert list(start._by_name(tree)) == ["cross_attends.0.value.kernel", "latents"]


def test_a_run_of_which_nothing_matches_is_no_source(source, tmp_path):
    settings = ["--config.model.num_latents=5", "--config.model.latent_channels=12", "--config.model.positions.num_bands=3"]
    with pytest.raises(Failure, match=r"^error\[4\] 0 of 21 parameters from .*; not: .*, and 11 more") as caught:
        begun(source, tmp_path, *settings, classes=("a", "b"))
    assert caught.value.code == Code.CHECKPOINT
    assert "init_from" not in json.loads((tmp_path / "config.json").read_text())


def test_a_damaged_state_is_no_source(source, tmp_path):
    path = shutil.copytree(source, tmp_path / "source", ignore=shutil.ignore_patterns("plots"))
    (path / "checkpoints" / "8" / "manifest.json").write_text("{}")
    place = claimed(tmp_path / "run", *SMALL)
    with pytest.raises(Failure, match="step 8 rejected"):
        start.source_of(place, f"{path}:8")
    assert start.source_of(place, str(path)).step == 4


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
    moved = shutil.copytree(source, tmp_path / "moved", ignore=shutil.ignore_patterns("plots"))
    settings = [*SMALL, "--config.seed=5", "--config.train.duration=2 steps", "--config.train.eval_every=2 steps"]
    settings += ["--config.train.checkpoint_every=2 steps"]
    path, flag = tmp_path / "run", [f"--init_from={moved}:4"]
    run = launcher.train(path, *settings, *flag)
    assert run.wait() == 0, run.stderr
    assert f"21 of 21 parameters from {moved} at step 4\n" in run.stderr
    sha = state_sha256(path)
    record = json.loads((path / "config.json").read_text())["init_from"]
    state = manifest.verify(source / "checkpoints", 4).state_sha256
    assert record == {"run": str(moved), "step": 4, "state_sha256": state}
    shutil.rmtree(moved)
    (path / "result.json").unlink()
    shutil.rmtree(path / "checkpoints" / "2")
    run = launcher.train(path, *settings, *flag)
    assert run.wait() == 0, run.stderr
    assert "resumed at step 0\n" in run.stderr
    assert state_sha256(path) == sha
    place = workdir.Workdir(path)
    for again in (None, str(moved), f"{moved}:4"):
        assert start.source_of(place, again) is None
    for other in (str(source), f"{moved}:8"):
        with pytest.raises(Failure) as caught:
            start.source_of(place, other)
        first = f"error[2] workdir {path} holds a run that began from {moved} at step 4\n  found: --init_from {other}"
        assert str(caught.value) == f"{first}\n  try: a new --workdir"


def test_a_run_that_began_by_itself_takes_no_source(source, tmp_path):
    place = claimed(tmp_path, *SMALL)
    assert start.source_of(place, None) is None
    (place.checkpoints / "2").mkdir()
    assert start.source_of(place, None) is None
    with pytest.raises(Failure, match="holds a run that began from its own seed"):
        start.source_of(place, str(source))
