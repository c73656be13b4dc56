"""A sweep trains its config once for each point, resumes where it was, and reports the results."""

import ast
import csv
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
from experiments.sweeping import pictures, run
from experiments.sweeping.names import names_of
from experiments.sweeps import fig5, fig6
from perceiver_jax import command
from perceiver_jax.launch import jobs
from perceiver_jax.launch.local import Local
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.settings import overrides as overriding
from perceiver_jax.settings.config import parse
from perceiver_jax.system import signals
from tests.door import fresh_flags

ROOT = Path(__file__).parents[1]
TWO = "def get_sweep():\n    return [{}, {'model.num_latents': 8, 'optim.schedule': {'kind': 'constant'}}]\n"
SECOND = "num_latents=8,schedule=__kind____constant__"
POPEN = subprocess.Popen
SEEDS = "from experiments.sweeping.axes import *\ndef get_sweep():\n    return seeds(%d)\n"


@pytest.fixture
def swept(monkeypatch, capsys, tmp_path):
    """Runs `experiments.sweep` on digits, training replaced: the exit code, the commands launched, what is reported.

    `codes` are the runs' exit codes, or functions that take the signals sent to a run and return its code, or None.
    """
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.0)

    def swept(text, *arguments, codes=(), metric="accuracy", says="", draws=False, config="configs/digits.py"):
        (tmp_path / "sweep.py").write_text(text)
        launched, ends = [], iter(codes)

        class Run(POPEN):
            def __init__(self, words, stdout, **_):
                launched.append(words[5:])
                self.code, self.sent = next(ends, 0), []
                os.write(stdout.fileno(), says.encode())
                place = Path(words[words.index("--workdir") + 1])
                if self.code == 0:
                    metrics = {"train": {}, "validation": {metric: 0.75}, "test": {metric: 0.25}}
                    result = {"step": 1, "parameters": 7, "flops_per_example": 9, "metrics": metrics, "seconds": 1.0}
                    (place / "result.json").write_text(json.dumps(result))

            def poll(self):
                return self.code(self.sent) if callable(self.code) else self.code

            def send_signal(self, number):
                self.sent.append(number)

        monkeypatch.setattr(subprocess, "Popen", Run)
        if not draws:
            monkeypatch.setattr(pictures, "draw", lambda *_: [])
        words = ["sweep", "--config", config, "--workdir", str(tmp_path / "runs"), *arguments]
        monkeypatch.setattr(sys, "argv", [*words, "--sweep", str(tmp_path / "sweep.py")])
        monkeypatch.chdir(ROOT)
        with fresh_flags():
            main = runpy.run_module("experiments.sweep", run_name="sweep_under_test")["main"]
            with pytest.raises(SystemExit) as end:
                command.run(main)
        out, err = capsys.readouterr()
        return end.value.code, launched, out + err

    return swept


def names(launched):
    """The directories of the runs that were launched."""
    return [Path(words[words.index("--workdir") + 1]).name for words in launched]


def test_each_point_is_trained_once_in_a_directory_of_its_name(swept, tmp_path):
    code, launched, reported = swept(TWO, "--config.seed=3", "--tiny")
    assert code == 0, reported
    first, second = launched
    common = ["--config", "configs/digits.py", "--workdir"]
    assert first[1:] == ["-m", "experiments.train", *common, str(tmp_path / "runs/base"), "--tiny", "--config.seed=3"]
    assert second[5:7] == ["--workdir", str(tmp_path / "runs" / SECOND)]
    assert second[8:] == [
        "--config.seed=3",
        "--config.model.num_latents=8",
        "--config.optim.schedule={'kind': 'constant'}",
    ]
    assert re.search(r"16 .* 1 +0\.7500 +0\.2500\n", reported)  # the base's own number of latents


def test_the_settings_of_every_point_are_beside_it(swept, tmp_path):
    swept(TWO, "--config.seed=3")
    record = json.loads((tmp_path / "runs/sweep.json").read_text())
    assert (record["format"], record["config"], record["given"]) == (1, "configs/digits.py", {"seed": "3"})
    assert [(one["name"], one["changes"]) for one in record["points"]] == [
        ("base", {}),
        (SECOND, {"model.num_latents": 8, "optim.schedule": {"kind": "constant"}}),
    ]


def test_what_is_finished_is_skipped_and_what_failed_is_launched_again(swept):
    assert swept(TWO, codes=(5, 0))[0] == 5
    code, launched, reported = swept(TWO)
    assert (code, names(launched)) == (0, ["base"])
    assert "1 of 2 done" in reported
    assert swept(TWO)[:2] == (0, [])


def test_the_summary_is_a_table_a_page_and_pictures(swept, tmp_path):
    text = "from experiments.sweeping.axes import *\n"
    text += "def get_sweep():\n    return product(sweep('model.num_latents', [4, 8]), seeds(2))\n"
    code, _, reported = swept(text, codes=(0, 0, 0, 7), says="error[7] out of | memory: here\n", draws=True)
    assert code == 7
    folder = tmp_path / "runs"
    lines = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    assert [(line["model.num_latents"], line["seed"], line["state"]) for line in lines] == [
        ("4", "0", "done"),
        ("4", "1", "done"),
        ("8", "0", "done"),
        ("8", "1", "failed"),
    ]
    assert (lines[0]["test/accuracy"], lines[3]["test/accuracy"]) == ("0.25", "")
    assert lines[3]["error"] == "error[7] out of | memory: here"
    page = (folder / "summary.md").read_text()
    assert "| 8 | 7 | 9 | 1 of 2 | 0.7500 | 0.2500 |" in page
    assert "| 4 | 7 | 9 | 2 | 0.7500 +- 0.0000 | 0.2500 +- 0.0000 |" in page
    assert "- `num_latents=8,seed=1`: failed: error[7]" in page
    assert (folder / "plots/lines.png").stat().st_size > 5000
    assert "![lines](plots/lines.png)" in page
    assert str(folder / "summary.csv") in reported


def test_the_plan_says_what_there_is_and_writes_nothing(swept, tmp_path, monkeypatch):
    code, launched, reported = swept(TWO, "--dry_run")
    assert (code, launched, (tmp_path / "runs").exists()) == (0, [], False)
    assert re.search(r"base +new +-\n", reported)
    swept(TWO, codes=(5, 0))
    _, _, reported = swept(TWO, "--dry_run")
    assert re.search(rf"{SECOND} +done +model\.num_latents=8, optim\.schedule=constant\n", reported)
    assert "2 points, 1 done, 1 to train" in reported
    monkeypatch.setattr(run, "owner_of", lambda point: "pid 7" if point.name == "base" else "")
    _, _, reported = swept(TWO, "--dry_run")
    assert re.search(r"base +running +-\n", reported)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--partition=gpu", "--partition is an option of Slurm\n  found: --launcher local\n  try: --launcher slurm\n"),
        ("--search_seed=3", "--search_seed is the seed of a search, and there is none\n  try: --search TRIALS\n"),
    ],
)
def test_a_flag_that_would_change_nothing_is_refused(swept, flag, told):
    for more in ((), ("--dry_run",)):
        code, launched, reported = swept(TWO, flag, *more)
        assert (code, launched) == (2, [])
        assert told in reported


def test_a_search_is_planned_and_refused_without_validation_examples(swept, tmp_path):
    text = "from experiments.sweeping.axes import *\n"
    text += "def get_sweep():\n    return product(log_uniform('optim.learning_rate', 1e-4, 0.1), choice('seed', [0, 1]))\n"
    code, launched, reported = swept(text, "--search=4", "--dry_run")
    assert (code, launched) == (0, [])
    assert re.search(r"optim\.learning_rate +0\.0001 to 0\.1, logarithmic\nseed +0 \| 1\n", reported)
    code, launched, reported = swept(text, "--search=4")
    assert (code, launched) == (2, [])
    assert "--search: the config has no validation split" in reported
    assert not list((tmp_path / "runs").glob("*.json"))


def test_several_run_at_a_time_and_never_more(swept):
    at_work, most = [], []

    def ends(sent):
        at_work.append(1)
        return 0 if len(at_work) > 20 else None

    def watched(self, jobs):
        most.append(len(self._free))
        return started(self, jobs)

    started = Local.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "start", watched)
        code, launched, _ = swept(SEEDS % 5, "--processes=2", codes=(ends, ends, ends, ends, ends))
    assert (code, len(launched)) == (1, 5)  # none has written a result
    assert most[0] == 2
    assert set(most[1:]) <= {1, 2}


# What is wrong, and what has changed


def test_a_wrong_setting_ends_the_sweep_before_its_first_run(swept, tmp_path):
    code, launched, reported = swept("def get_sweep():\n    return [{}, {'model.num_latent': 8}]\n")
    assert (code, launched) == (2, [])
    assert "unknown key model.num_latent; did you mean model.num_latents?\n  found: in run num_latent=8\n" in reported
    assert not (tmp_path / "runs/sweep.json").exists()


@pytest.mark.parametrize(("same", "told"), [("{}", "base twice"), ("{'seed': 0}", "seed=0 is base")])
def test_settings_that_are_there_twice_are_told_and_trained_once(swept, same, told):
    """Also where one says a value that the config has anyway."""
    code, launched, reported = swept(f"def get_sweep():\n    return [{{}}, {{'seed': 1}}, {same}]\n")
    assert (code, len(launched)) == (0, 2)
    assert f"note: 1 of 3 points have the settings of another, trained once: {told}\n" in reported


def test_a_run_that_fails_leaves_the_others_alone_and_its_error_is_shown(swept, tmp_path):
    says = "step 3\nerror[5] loss is nan: step 4\n  try: less\n"
    code, launched, reported = swept(TWO, codes=(5, 0), says=says)
    assert (code, len(launched)) == (5, 2)
    assert "base: failed: error[5] loss is nan: step 4  (0 of 2 done, 1 failed; " in reported
    log = tmp_path / "runs/base/log.txt"
    assert f"error[5] 1 of 2 runs failed: base\n  found: error[5] loss is nan: step 4 (see {log})\n" in reported
    assert log.read_text() == says


@pytest.mark.parametrize("ended", [129, 130, 138, 140, 143, -9])
def test_a_run_that_was_killed_leaves_the_others_alone(swept, ended):
    code, launched, reported = swept(TWO, codes=(ended, 0))
    assert (code, len(launched)) == (130, 2)
    assert "error[130] 1 of 2 runs were stopped: base" in reported
    assert "the same command resumes" in reported
    assert ("killed by SIGKILL" in reported) == (ended == -9)
    assert names(swept(TWO)[1]) == ["base"]


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
        (
            "from experiments.sweeping.axes import *\n\ndef get_sweep():\n    return sweep('seed', [])\n",
            "line 4: ValueError: seed",
        ),
        ("from experiments.sweeping.axes import *\ndef get_sweep():\n    return uniform('seed', 0, 5)\n", "--search TRIALS"),
        ("def get_sweep():\n    return [{'config': ':none'}]\n", "has no variants; got 'none'"),
    ],
)
def test_a_sweep_file_that_cannot_be_used_is_reported_with_its_line(swept, text, reported):
    code, launched, printed = swept(text)
    assert (code, launched) == (2, [])
    assert reported in printed


def test_a_directory_of_another_sweep_or_of_a_run_is_refused(swept, tmp_path):
    swept(SEEDS % 1)
    code, launched, reported = swept(SEEDS % 1, config="configs/fashion_mnist.py")
    assert (code, launched) == (2, [])
    assert "holds a sweep of another config\n  found: configs/digits.py\n  expected: configs/fashion_mnist.py\n" in reported
    (tmp_path / "runs/config.json").write_text("{}")
    for arguments in ((), ("--dry_run",)):
        assert "holds a run, not a sweep" in swept(SEEDS % 1, *arguments)[2]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1, "config": "configs/digits.py", "points": [{"name": 1}]}'])
def test_a_record_that_is_damaged_is_named(swept, tmp_path, text):
    swept(SEEDS % 1)
    (tmp_path / "runs/sweep.json").write_text(text)
    code, launched, reported = swept(SEEDS % 1)
    assert (code, launched) == (4, [])
    assert f"error[4] {tmp_path}/runs/sweep.json: is damaged\n" in reported
    (tmp_path / "runs/sweep.json").unlink()
    assert swept(SEEDS % 1)[:2] == (0, [])


def test_a_sweep_file_that_has_changed_is_told_and_nothing_is_lost(swept, tmp_path):
    swept(SEEDS % 2)
    code, launched, reported = swept("def get_sweep():\n    return [{'seed': 1}, {'seed': 7}]\n")
    assert (code, names(launched)) == (0, ["seed=7"])
    assert "note: new since the sweep began: seed=7\n" in reported
    assert "note: no longer listed, or with other settings now: seed=0; what was trained is kept\n" in reported
    assert (tmp_path / "runs/seed=0/result.json").exists()
    record = json.loads((tmp_path / "runs/sweep.json").read_text())
    assert [(one["name"], one["listed"]) for one in record["points"]] == [
        ("seed=1", True),
        ("seed=7", True),
        ("seed=0", False),
    ]
    _, launched, reported = swept(SEEDS % 2)
    assert (launched, "seed=0" in reported) == ([], True)


def train_a_little(path, *given):
    """What a launch of the run leaves that has come to its first step."""
    given = {name: overriding.read(text) for name, text in (one.split("=") for one in given)}
    config = overriding.config_of("configs/digits.py", given, shrink=False)
    with workdirs.claim(str(path), config, ["train"]):
        (path / "metrics.jsonl").touch()


def test_a_point_whose_settings_have_changed_is_another_point(swept, tmp_path):
    train_a_little(tmp_path / "runs/seed=0", "optim.learning_rate=0.5")
    train_a_little(tmp_path / "runs/seed=1", "seed=1", "train.log_every=2 steps")  # which does not change what it learns
    code, launched, _ = swept(SEEDS % 2)
    first, second = names(launched)
    assert (code, second) == (0, "seed=1")
    assert re.fullmatch(r"seed=0-[0-9a-f]{10}", first)
    code, launched, _ = swept(SEEDS % 2, "--config.optim.learning_rate=0.5")
    first, second = names(launched)
    assert (code, first) == (0, "seed=0")
    assert re.fullmatch(r"seed=1-[0-9a-f]{10}|seed=1", second)


def test_two_sweeps_at_a_time_in_one_directory_are_refused(swept, tmp_path):
    holder = "import fcntl, sys\nwith open(sys.argv[1], 'w') as file:\n    fcntl.lockf(file, fcntl.LOCK_EX)"
    holder += "\n    print('held', flush=True)\n    input()"
    (tmp_path / "runs").mkdir()
    other = POPEN([sys.executable, "-c", holder, tmp_path / "runs/.lock"], stdin=-1, stdout=-1, text=True)
    assert other.stdout.readline() == "held\n"
    code, launched, reported = swept(SEEDS % 1)
    other.communicate("\n")
    assert (code, launched) == (6, [])
    assert f"error[6] workdir {tmp_path}/runs is in use by another sweep\n" in reported


@pytest.mark.parametrize(("variant", "settings"), [("fig5", fig5.get_sweep()), ("fig6", fig6.get_sweep())])
def test_every_setting_of_the_papers_sweeps_is_a_config_and_no_two_are_the_same(variant, settings):
    models = []
    for changes in settings:
        config = imagenet.get_config(variant)
        for name, value in changes.items():
            config.update_from_flattened_dict({name: value})
        models.append(parse(config).model)
    shown = names_of(settings)
    assert len(set(map(str, models))) == len(models) == len(set(shown))
    assert not any("-" in name for name in shown)  # no hash


def test_a_point_of_another_variant_is_named_by_it():
    assert names_of([{"config": ":learned", "seed": 1}, {"config": "configs/digits.py"}, {"config": "a/b.py:c"}]) == [
        "config=learned,seed=1",
        "config=digits",
        "config=b_c",
    ]


def test_a_point_of_another_variant_is_launched_as_such(swept):
    text = "def get_sweep():\n    return [{'config': ':quickstart'}, {'config': 'configs/digits.py'}]\n"
    code, launched, reported = swept(text, config="configs/mnist5k.py")
    assert code == 0, reported
    assert [words[4] for words in launched] == ["configs/mnist5k.py:quickstart", "configs/digits.py"]
    assert not any(word.startswith("--config=") for words in launched for word in words)


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
    assert f"error[6] 2 of 2 runs failed: base, {SECOND}" in reported
    assert "bug" not in reported


def test_an_exit_code_that_is_none_of_ours_is_a_fault(swept):
    code, _, reported = swept(TWO, codes=(99, 0))
    assert code == 1
    assert "error[1] 1 of 2 runs failed: base\n  found: exit code 99 (see " in reported
    assert "bug" not in reported


def test_the_result_is_that_of_the_tasks_headline_metric(swept):
    text = "def get_sweep():\n    return [{'task': {'kind': 'multi_label'}}]\n"
    code, _, reported = swept(text, metric="mean_average_precision")
    assert code == 0
    assert re.search(r"test mean_average_precision\n.*\n.* 0\.2500\n", reported)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_sweep_that_is_asked_to_stop_asks_each_run_once_and_waits_for_it(swept, monkeypatch, number):
    """By a signal that may come twice: a terminal or a scheduler asks the run as well."""
    waits = []

    def run(sent):
        waits.append(list(sent))
        if len(waits) == 2:
            os.kill(os.getpid(), number)
        return 138 if len(waits) > 9 else None

    monkeypatch.setattr(signals, "_detached", lambda number: False)  # the tests may run under nohup
    code, launched, reported = swept(SEEDS % 3, "--processes=2", codes=(run, run, 0))
    assert (code, len(launched)) == (128 + number, 2)
    assert waits[:2] == [[], []]
    assert waits[4:9] == [[signal.SIGUSR1]] * 5
    assert f"error[{128 + number}] stopped with 3 of 3 runs to go\n  try: the same command resumes\n" in reported


# Names, and where runs are


def test_a_name_leaves_out_what_is_the_same_in_all(swept):
    text = "from experiments.sweeping.axes import *\n"
    text += "def get_sweep():\n    return product(seeds(%d), fixed({'optim.learning_rate': 0.5, 'model.num_latents': %s}))\n"
    assert names(swept(text % (2, "4"))[1]) == ["seed=0", "seed=1"]
    assert names(swept("def get_sweep():\n    return [{'seed': 5, 'optim.learning_rate': 0.1}]\n")[1]) == [
        "seed=5,learning_rate=0.1"
    ]


def test_a_run_stays_where_it_is_when_its_point_would_be_called_otherwise(swept, tmp_path):
    text = "def get_sweep():\n    return [%s{'seed': 1, 'model.num_latents': 4}, {'seed': 2, 'model.num_latents': 4}]\n"
    assert names(swept(text % "", codes=(5, 5))[1]) == ["seed=1", "seed=2"]
    train_a_little(tmp_path / "runs/seed=1", "seed=1", "model.num_latents=4")
    new, first, second = names(swept(text % "{'seed': 1}, ", codes=(5, 5, 5))[1])
    assert (first, second) == (
        "seed=1",
        "seed=2,num_latents=4",
    )  # the second has not come to a step: there is nothing to keep
    assert re.fullmatch(r"seed=1-[0-9a-f]{10}", new)
    assert names(swept(text % "")[1]) == ["seed=1", "seed=2"]
