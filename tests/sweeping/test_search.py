"""A search tries points from ranges, judges them by their validation examples alone, and goes on where it was."""

import dataclasses
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.sweeping import search as searching
from experiments.sweeping.axes import chained, choice, fixed, log_uniform, product, seeds, uniform
from experiments.sweeping.points import Base
from experiments.sweeping.search import check, search
from perceiver_jax.errors import Code, Failure, MissingPackage
from perceiver_jax.launch import jobs
from perceiver_jax.launch.local import Local
from perceiver_jax.settings.overrides import read
from perceiver_jax.system.signals import StopFlag

POPEN = subprocess.Popen
HELD_OUT = {"data.validation_examples": read("100"), "train.eval_splits": read("('validation', 'test')")}
SPACE = product(log_uniform("optim.learning_rate", 1e-4, 1.0), choice("model.num_latents", [4, 8]))


def goodness(rate):
    """The validation accuracy of a run: best at a rate of 0.01."""
    return 1 - abs(math.log10(rate) + 2) / 4


@pytest.fixture
def searched(monkeypatch, tmp_path):
    """Runs a search, training replaced: its outcomes, and the learning rates that were trained.

    A run logs its validation accuracy at steps 1 to `polls`, then ends, unless it was asked to stop.
    """
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(searching, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(searching.run, "REFRESH_SECONDS", -1.0)

    def searched(trials, space=SPACE, given=HELD_OUT, polls=1, ends=lambda rate, number: 0, processes=1, seed=0):
        trained, stop = [], StopFlag()

        class Run(POPEN):
            def __init__(self, words, **_):
                self.place = Path(words[words.index("--workdir") + 1])
                (text,) = (word for word in words if word.startswith("--config.optim.learning_rate="))
                self.rate, self.step, self.asked = float(text.partition("=")[2]), 0, False
                trained.append(self.rate)
                self.number = len(trained)

            def poll(self):
                if self.asked:
                    return 138
                if self.step < polls:
                    self.step += 1
                    line = {"step": self.step, "split": "validation", "accuracy": goodness(self.rate)}
                    with (self.place / "metrics.jsonl").open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    return None
                code = ends(self.rate, self.number)
                if code is None:
                    stop._code = Code.TERMINATED
                if code == 0:
                    metrics = {
                        "validation": {"accuracy": goodness(self.rate)},
                        "test": {"accuracy": 1 - goodness(self.rate)},
                    }
                    result = {"step": self.step, "parameters": 7, "flops_per_example": 9, "metrics": metrics, "seconds": 1.0}
                    (self.place / "result.json").write_text(json.dumps(result))
                return code

            def send_signal(self, number):
                assert number == signal.SIGUSR1
                self.asked = True

        base = Base("configs/digits.py", given, tiny=False)
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", Run)
            outcomes = search(base, space, tmp_path / "runs", Local(processes), stop, trials, seed)
        return outcomes, trained

    return searched


def test_a_search_finds_what_is_best_by_validation(searched):
    outcomes, trained = searched(15)
    assert len(outcomes) == len(trained) == 15
    best = max((outcome for outcome in outcomes if outcome.score is not None), key=lambda outcome: outcome.score)
    assert abs(math.log10(best.point.config.optim.learning_rate) + 2) < 0.5
    assert best.score == goodness(best.point.config.optim.learning_rate)  # test accuracy is lowest there
    assert all(1e-4 <= rate <= 1 and rate == float(f"{rate:.4g}") for rate in trained)
    assert {outcome.point.config.model.num_latents for outcome in outcomes} == {4, 8}
    assert "learning_rate=" in best.point.name


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(searched, tmp_path):
    searched(4, polls=0, ends=lambda rate, number: None if number == 3 else 0)  # the third is stopped: it will go on
    outcomes, trained = searched(8, polls=0)
    assert [outcome.state for outcome in outcomes] == ["done"] * 8
    whole = [outcome.point.changes for outcome in outcomes]
    assert len(trained) == 6
    (tmp_path / "runs").rename(tmp_path / "first")
    assert sorted(map(str, whole)) == sorted(str(outcome.point.changes) for outcome in searched(8, polls=0)[0])
    assert searched(8, polls=0)[1] == []


def test_the_seed_decides_what_is_tried(searched, tmp_path):
    _, first = searched(3)
    (tmp_path / "runs").rename(tmp_path / "first")
    _, second = searched(3, seed=1)
    assert not set(first) & set(second)


def test_points_that_are_behind_on_validation_examples_are_stopped(searched):
    outcomes, trained = searched(15, polls=3)
    states = {outcome.point.config.optim.learning_rate: outcome.state for outcome in outcomes}
    pruned = [rate for rate, state in states.items() if state == "pruned"]
    assert 2 < len(pruned) < 12
    assert not set(pruned) & set(trained[: searching.STARTUP])
    done = [goodness(rate) for rate, state in states.items() if state == "done"]
    assert max(map(goodness, pruned)) < max(done)
    again, trained = searched(15, polls=3)
    assert trained == []
    assert {one.point.config.optim.learning_rate: one.state for one in again} == states


def test_points_of_the_same_settings_are_trained_once(searched):
    space = product(choice("optim.learning_rate", [0.1, 0.01]), fixed({"seed": 5}))
    outcomes, trained = searched(6, space)
    assert sorted(trained) == [0.01, 0.1]
    assert sorted(outcome.point.name for outcome in outcomes) == ["learning_rate=0.01", "learning_rate=0.1"]


def test_a_trial_that_fails_or_is_no_config_leaves_the_others_alone(searched, capsys):
    space = product(log_uniform("optim.learning_rate", 1e-4, 1.0), choice("model.latent_channels", [32, 33]))
    outcomes, trained = searched(8, space, ends=lambda rate, number: 5 if number == 2 else 0)
    assert [outcome.state for outcome in outcomes].count("failed") == 1
    refused = 8 - len(trained)
    assert 0 < refused < 8
    assert capsys.readouterr().err.count(" is refused: error[2] ") == refused
    assert len(searched(8, space)[1]) == 0  # what failed has had its trial


def test_a_search_ends_well_if_a_point_is_done_and_nothing_was_stopped(searched):
    stop = StopFlag()
    outcomes, _ = searched(3, ends=lambda rate, number: 5 if number == 1 else 0)
    check(outcomes, stop)
    with pytest.raises(Failure, match="1 of 1 runs failed"):
        check([one for one in outcomes if one.state == "failed"], stop)
    with pytest.raises(Failure, match="1 of 4 runs failed"):
        check([*outcomes, dataclasses.replace(outcomes[0], state="stopped", code=-9)], stop)
    stop._code = Code.TERMINATED
    with pytest.raises(Failure, match="stopped after 3 trials") as failure:
        check(outcomes, stop)
    assert failure.value.code == Code.TERMINATED


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (product(uniform("model.num_latents", 4, 8), seeds(2)), "expected one setting with ranges, got 2"),
        (fixed({"seed": 1}), "expected one setting with ranges"),
        (chained(uniform("seed", 0, 1), fixed({})), "expected one setting with ranges, got 2"),
        (uniform("model.num_latent", 4, 8), "unknown key model.num_latent; did you mean model.num_latents"),
    ],
)
def test_what_cannot_be_searched_is_refused(searched, space, message):
    with pytest.raises(Failure, match=message):
        searched(2, space)


def test_a_config_without_validation_examples_cannot_be_searched(searched):
    with pytest.raises(Failure, match="no validation split") as failure:
        searched(2, given={})
    assert "--config.data.validation_examples=N" in failure.value.hint


@pytest.mark.parametrize(
    ("change", "what"),
    [({"space": product(*[SPACE], fixed({"seed": 1}))}, "ranges"), ({"given": HELD_OUT | {"seed": read("3")}}, "settings")],
)
def test_a_search_that_has_changed_since_it_began_is_refused(searched, change, what):
    searched(1)
    with pytest.raises(Failure, match=f"has other {what}") as failure:
        searched(2, **change)
    assert failure.value.code == Code.CONFIG


def test_a_search_without_optuna_says_so(searched, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackage, match=r"Optuna is not installed\n  try: pip install -e \.\[search\]"):
        searched(1)
