"""Runs as they lie on disk are read as far as they have come; what cannot be read is named."""

import json
import math

import pytest

from configs import digits
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.runs.past import read_result, read_run, runs_below
from perceiver_jax.settings.config import parse

RESULT = {"step": 3, "metrics": {"test": {"accuracy": 0.5, "loss": math.nan}, "train": {"loss": math.inf}}, "seconds": 1.5}


@pytest.fixture
def tree(tmp_path):
    """A finished run, one that has not begun, and in it a directory that is no run."""
    config = parse(digits.get_config())
    for name in ("b/finished", "a"):
        with workdirs.claim(str(tmp_path / name), config, ["train", "--workdir", name]):
            pass
    (tmp_path / "b/finished/result.json").write_text(json_text(RESULT))
    (tmp_path / "b/finished/metrics.jsonl").write_text('{"step": 1, "split": "train", "loss": 2.5}\n{"step": 2, "spl')
    (tmp_path / "c").mkdir()
    return tmp_path


def test_a_run_is_read_as_far_as_it_has_come(tree):
    begun, finished = runs_below(tree, pytest.fail)
    assert (begun.workdir.path, begun.result, begun.records()) == (tree / "a", None, [])
    assert finished.records() == [{"step": 1, "split": "train", "loss": 2.5}]
    assert finished.command == ("train", "--workdir", "b/finished")
    assert finished.config == begun.config
    assert finished.result["seconds"] == 1.5
    assert math.isnan(finished.result["metrics"]["test"]["loss"])
    assert finished.result["metrics"]["train"]["loss"] == math.inf


def test_numbers_that_are_not_finite_are_valid_json(tree):
    def refuse(constant):
        raise AssertionError(constant)

    json.loads((tree / "b/finished/result.json").read_text(), parse_constant=refuse)


def test_runs_that_cannot_be_read_are_named_and_the_others_are_there(tree):
    (tree / "a/config.json").write_text("{")
    notes = []
    (finished,) = runs_below(tree, notes.append)
    assert finished.workdir.path == tree / "b/finished"
    (tree / "d").mkdir()
    (tree / "d/result.json").write_text("{}")
    assert [run.workdir.path for run in runs_below(tree, notes.append)] == [tree / "b/finished"]
    first, again, alone = notes
    assert first == again
    assert first.startswith(f"note: left out {tree / 'a'}: ")
    assert alone == f"note: left out {tree / 'd'}: a result.json without the config.json of its run"


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"step": 3',
        "[]",
        '{"step": 3}',
        '{"step": "3", "metrics": {}}',
        '{"step": 3, "metrics": []}',
        '{"step": 3, "metrics": {"test": {"loss": {}}}}',
        '{"step": 3, "metrics": {}, "seconds": "0000"}',
        '{"step": 3, "metrics": {}, "best_by_test": {"test": {"loss": 1.5}}}',
        '{"step": 3, "metrics": {}, "best_by_test": null}',
        '{"step": 3, "metrics": {}, "time": {"compile": [1]}}',
        '{"step": 3, "metrics": {}, "unwritten": 3}',
        "\0",
    ],
)
def test_a_damaged_result_is_named(tree, text):
    path = tree / "b/finished"
    (path / "result.json").write_text(text)
    for read in (lambda: read_run(path), lambda: read_result(workdirs.Workdir(path))):
        with pytest.raises(Failure, match=r"result\.json.* is damaged") as failure:
            read()
        assert failure.value.code == Code.CHECKPOINT


def test_a_config_without_its_command_is_damaged(tree):
    file = tree / "a/config.json"
    record = json.loads(file.read_text())
    del record["command"]
    file.write_text(json.dumps(record))
    with pytest.raises(Failure, match="no command in it"):
        read_run(tree / "a")


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Failure, match="no directory of runs") as failure:
        next(runs_below(tmp_path / "none", pytest.fail))
    assert failure.value.code == Code.WORKDIR
