"""A sweep trains its config once for each setting, resumes where it was, and reports the results."""

import ast
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from configs import imagenet
from experiments.sweeps import fig5, fig6
from perceiver_jax import command
from perceiver_jax.settings.config import parse
from perceiver_jax.system import signals
from tests.door import fresh_flags

ROOT = Path(__file__).parents[1]
TWO = "def get_sweep():\n    return [{}, {'model.num_latents': 8, 'optim.schedule': {'kind': 'constant'}}]\n"


@pytest.fixture
def swept(monkeypatch, capsys, tmp_path):
    """Runs `experiments.sweep` on digits, training replaced: the exit code, the commands launched, what is reported.

    `codes` are the runs' exit codes, or functions that wait for the signal that is sent to the run and return it.
    """

    def swept(text, *arguments, codes=(0, 0), metric="accuracy"):
        (tmp_path / "sweep.py").write_text(text)
        launched, ends = [], iter(codes)

        class Run:
            def __init__(self, words):
                launched.append(words)
                self.code, self.sent = next(ends), None
                if not self.code:
                    place = Path(words[words.index("--workdir") + 1])
                    place.mkdir(parents=True, exist_ok=True)
                    metrics = {"train": {}, "validation": {metric: 0.75}, "test": {metric: 0.25}}
                    result = {"step": 1, "parameters": 7, "flops_per_example": 9, "metrics": metrics}
                    (place / "result.json").write_text(json.dumps(result))

            def wait(self, seconds):
                code = self.code(self.sent) if callable(self.code) else self.code
                if code is None:
                    raise subprocess.TimeoutExpired("train", seconds)
                return code

            def send_signal(self, number):
                assert self.sent is None, "a run is asked once"
                self.sent = number

        monkeypatch.setattr(subprocess, "Popen", Run)
        words = ["sweep", "--config", "configs/digits.py", "--workdir", str(tmp_path / "runs"), *arguments]
        monkeypatch.setattr(sys, "argv", [*words, "--sweep", str(tmp_path / "sweep.py")])
        monkeypatch.chdir(ROOT)
        with fresh_flags():
            main = program()["main"]
            with pytest.raises(SystemExit) as end:
                command.run(main)
        out, err = capsys.readouterr()
        return end.value.code, launched, out + err

    return swept


def program():
    """What experiments/sweep.py defines."""
    return runpy.run_module("experiments.sweep", run_name="sweep_under_test")


def test_each_setting_is_trained_once_in_a_directory_of_its_name(swept, tmp_path):
    code, launched, reported = swept(TWO, "--config.seed=3", "--tiny")
    assert code == 0
    first, second = launched
    common = ["--config", "configs/digits.py", "--workdir"]
    assert first[1:] == ["-m", "experiments.train", *common, str(tmp_path / "runs/base"), "--tiny", "--config.seed=3"]
    name = "num_latents=8,schedule=__kind____constant__"
    assert second[5:7] == ["--workdir", str(tmp_path / "runs" / name)]
    assert second[8:] == [
        "--config.seed=3",
        "--config.model.num_latents=8",
        "--config.optim.schedule={'kind': 'constant'}",
    ]
    assert "base" in reported
    assert "test       0.25" in reported


def test_a_wrong_setting_ends_the_sweep_before_its_first_run(swept):
    code, launched, reported = swept("def get_sweep():\n    return [{}, {'model.num_latent': 8}]\n")
    assert (code, launched) == (2, [])
    assert "unknown key model.num_latent; did you mean model.num_latents?\n  found: in run num_latent=8\n" in reported


def test_settings_that_are_there_twice_are_told(swept):
    code, launched, reported = swept("def get_sweep():\n    return [{}, {'seed': 1}, {}]\n")
    assert (code, len(launched)) == (0, 2)
    assert "note: 1 of 3 settings are there twice\n" in reported


def test_a_run_that_fails_does_not_stop_the_others_and_is_reported_at_the_end(swept):
    code, launched, reported = swept(TWO, codes=(5, 0))
    assert (code, len(launched)) == (5, 2)
    assert "error[5] 1 of 2 runs failed: base" in reported


@pytest.mark.parametrize("ended", [129, 130, 138, 140, 143, -9])
def test_a_run_that_was_stopped_stops_the_sweep(swept, ended):
    code, launched, reported = swept(TWO, codes=(ended, 0))
    assert (code, len(launched)) == (130, 1)
    assert "the same command resumes" in reported


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        *(
            (
                f"def get_sweep():\n    return {value}\n",
                "get_sweep must return a list of one dictionary or more, with dotted",
            )
            for value in ("{}", "[]", "[{3: 4}]")
        ),
        ("def sweep():\n    return []\n", "has no function get_sweep"),
        ("x = 1\nraise ValueError('no')\n", "line 2: ValueError: no"),
    ],
)
def test_a_sweep_file_that_cannot_be_used_is_reported_with_its_line(swept, text, reported):
    code, launched, printed = swept(text)
    assert (code, launched) == (2, [])
    assert reported in printed


@pytest.mark.parametrize(("variant", "settings"), [("fig5", fig5.get_sweep()), ("fig6", fig6.get_sweep())])
def test_every_setting_of_the_papers_sweeps_is_a_config_and_no_two_are_the_same(variant, settings):
    models = []
    for changes in settings:
        config = imagenet.get_config(variant)
        for name, value in changes.items():
            config.update_from_flattened_dict({name: value})
        models.append(parse(config).model)
    with fresh_flags():
        names = program()["names_of"](settings)
    assert len(set(map(str, models))) == len(models) == len(set(names))
    assert not any("-" in name for name in names)  # no hash


# Names


@pytest.fixture(scope="module")
def names_of():
    with fresh_flags():
        return program()["names_of"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "base"),
        ({"model.num_latents": 8}, "num_latents=8"),
        ({"model.num_latents": 8, "optim.learning_rate": 1e-05}, "num_latents=8,learning_rate=1e-05"),
        ({"data.data_dir": "a/b 'c' \"d\""}, "data_dir=a_b__c___d_"),
        ({"data.data_dir": "Bögen/日本"}, "data_dir=Bögen_日本"),
        ({"data.data_dir": "x" * 246}, "data_dir=" + "x" * 246),
    ],
)
def test_a_name_says_what_is_changed(names_of, changes, name):
    assert names_of([changes]) == [name]
    assert names_of([changes, {"seed": 5}]) == [name, "seed=5"]


@pytest.mark.parametrize("text", ["x" * 247, "ü" * 124, "日" * 90, "x" * 5000])
def test_a_name_that_no_file_can_have_is_cut_and_told_apart(names_of, text, tmp_path):
    settings = [{"data.data_dir": text + end} for end in ("", "a", "b")]
    names = names_of(settings)
    assert len(set(names)) == 3
    for name in names:
        assert name.startswith("data_dir=" + text[:60])
        (tmp_path / name).mkdir()
    assert names == names_of(settings[::-1])[::-1] == [names_of([one])[0] for one in settings]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"data.data_dir": "a/b"}, {"data.data_dir": "a b"}),
        ({"data.data_dir": "Photos"}, {"data.data_dir": "photos"}),
        ({"data.data_dir": "caf\u00e9"}, {"data.data_dir": "CAF\u00c9"}),
        ({"model.widening_factor": 1}, {"other.widening_factor": 1}),
        ({"data.data_dir": "1"}, {"data.data_dir": 1}),
    ],
)
def test_changes_that_look_alike_are_told_apart(names_of, first, second):
    names = names_of([first, second, {"seed": 1}])
    assert len({name.casefold() for name in names}) == 3
    assert names[2] == "seed=1"
    assert all(re.fullmatch(r".*-[0-9a-f]{10}", name) for name in names[:2])
    assert names_of([{"seed": 1}, second, first]) == names[::-1]


def test_the_name_of_a_hash_is_the_same_in_every_process(names_of):
    """Runs are found again by it."""
    assert names_of([{"data.data_dir": "a"}, {"data.data_dir": "A"}]) == ["data_dir=a-9a218c06eb", "data_dir=A-25e007bcba"]


def test_equal_settings_are_one_run(swept):
    code, launched, _ = swept("def get_sweep():\n    return [{'seed': 1}, {'seed': 1}]\n")
    assert (code, len(launched)) == (0, 1)


# Values


def test_values_reach_the_run_as_they_are(swept):
    """Also those of NumPy, which print in a way that the command line cannot read."""
    text = """
import numpy as np
def get_sweep():
    augment = {"kind": "affine", "rotate_degrees": np.float64(2.5), "shear": 0.0, "scale": 0.0, "translate": 0.0}
    return [{"optim.learning_rate": rate, "augment": augment | {"flip_probability": 0.0}, "model.num_latents": np.int64(4)}
            for rate in np.logspace(-3, -2, 2)]
"""
    code, launched, _ = swept(text)
    assert code == 0
    for words, rate in zip(launched, (0.001, 0.01), strict=True):
        settings = (word.removeprefix("--config.").partition("=") for word in words[7:])
        given = {name: ast.literal_eval(text) for name, _, text in settings}
        assert given["optim.learning_rate"] == pytest.approx(rate)
        assert given["augment"]["rotate_degrees"] == 2.5
        assert given["model.num_latents"] == 4
        assert {type(value) for value in given.values()} == {float, dict, int}


# Ends


def test_that_all_runs_fail_is_no_fault_of_ours(swept):
    code, launched, reported = swept(TWO, codes=(6, 6))
    assert (code, len(launched)) == (6, 2)
    assert "error[6] 2 of 2 runs failed: base, num_latents=8" in reported
    assert "bug" not in reported


def test_an_exit_code_that_is_none_of_ours_is_a_fault(swept):
    code, _, reported = swept(TWO, codes=(99, 0))
    assert code == 1
    assert "error[1] 1 of 2 runs failed: base" in reported
    assert "bug" not in reported


def test_the_result_is_that_of_the_tasks_headline_metric(swept):
    text = "def get_sweep():\n    return [{'task': {'kind': 'multi_label'}}]\n"
    code, _, reported = swept(text, metric="mean_average_precision")
    assert code == 0
    assert re.search(r"mean_average_precision\n.*\n.* test +0\.25", reported)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_sweep_that_is_asked_to_stop_asks_its_run_and_waits_for_it(swept, monkeypatch, number):
    """By a signal that may come twice: a terminal or a scheduler asks the run as well."""
    waits = []

    def run(sent):
        waits.append(sent)
        if len(waits) == 1:
            os.kill(os.getpid(), number)
        return 143 if len(waits) > 4 else None

    monkeypatch.setattr(signals, "_detached", lambda number: False)  # the tests may run under nohup
    code, launched, reported = swept(TWO, codes=(run, 0))
    assert (code, len(launched)) == (128 + number, 1)
    assert waits[2:] == [signal.SIGUSR1] * 3
    assert "the same command resumes" in reported
