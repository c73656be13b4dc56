"""A sweep trains its config once for each setting, resumes where it was, and reports the results."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from configs import imagenet
from experiments.sweeps import fig5, fig6
from perceiver_jax import command
from perceiver_jax.settings.config import parse
from tests.door import fresh_flags

ROOT = Path(__file__).parents[1]
TWO = "def get_sweep():\n    return [{}, {'model.num_latents': 8, 'optim.schedule': {'kind': 'constant'}}]\n"


@pytest.fixture
def swept(monkeypatch, capsys, tmp_path):
    """Runs `experiments.sweep` on digits, training replaced: the exit code, the commands launched, what is reported."""

    def swept(text, *arguments, codes=(0, 0)):
        (tmp_path / "sweep.py").write_text(text)
        launched, ends = [], iter(codes)

        def run(words):
            launched.append(words)
            code = next(ends)
            if not code:
                place = Path(words[words.index("--workdir") + 1])
                place.mkdir(parents=True, exist_ok=True)
                metrics = {"train": {}, "validation": {"accuracy": 0.75}, "test": {"accuracy": 0.25}}
                result = {"parameters": 7, "flops_per_example": 9, "metrics": metrics}
                (place / "result.json").write_text(json.dumps(result))
            return subprocess.CompletedProcess(words, code)

        monkeypatch.setattr(subprocess, "run", run)
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
    assert "unknown key model.num_latent; did you mean model.num_latents?" in reported


def test_a_run_that_fails_does_not_stop_the_others_and_is_reported_at_the_end(swept):
    code, launched, reported = swept(TWO, codes=(5, 0))
    assert (code, len(launched)) == (5, 2)
    assert "error[5] 1 of 2 runs failed: base" in reported


@pytest.mark.parametrize("ended", [130, 143, -9])
def test_a_run_that_was_stopped_stops_the_sweep(swept, ended):
    code, launched, reported = swept(TWO, codes=(ended, 0))
    assert (code, len(launched)) == (130, 1)
    assert "the same command resumes" in reported


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("def get_sweep():\n    return {}\n", "get_sweep must return a list of dictionaries"),
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
        name_of = program()["name_of"]
    names = set(map(name_of, settings))
    assert len(set(map(str, models))) == len(models) == len(names)
