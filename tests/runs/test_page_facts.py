"""What a page says of a run is what its workdir holds, as far as the run has come."""

import json
import struct

import numpy as np
import pytest
from PIL import Image

from perceiver_jax.errors import Failure
from perceiver_jax.report.page.facts import Change
from perceiver_jax.runs.facts import command_text, facts_of
from perceiver_jax.runs.past import read_run
from perceiver_jax.runs.written import differences
from tests.pastruns import ROOT, past_run

PROFILE = {
    "format": 1,
    "first_step": 4,
    "steps": 10,
    "platform": "cpu",
    "device": "cpu",
    "devices": 1,
    "step_seconds": 0.05,
    "tracing_seconds": 0.5,
    "compile_seconds": 2.0,
    "matmul_dtype": "float32",
    "matmul_flops_per_second": 5e10,
    "flops_per_step": 10**9,
    "matmul_share": 0.4,
    "parts": [
        {"part": "head", "forward_seconds": 0.01, "backward_seconds": 0.02, "share": 0.6, "flops": 5, "matmul_share": 0.3},
        {"part": "idle", "forward_seconds": 0.02, "backward_seconds": 0, "share": 0.4, "flops": 0, "matmul_share": None},
    ],
}


def facts(workdir, name="run"):
    """The facts of the run in a workdir."""
    return facts_of(read_run(workdir.path), name)


def test_a_finished_run_is_told_whole(tmp_path):
    found = facts(past_run(tmp_path / "a"))
    assert (found.state, found.finished) == ("finished, 4 steps", True)
    assert found.headline == ("test accuracy", "66.7 %")
    assert {("data", "digits"), ("classes", "2"), ("test examples", "20"), ("parameters", "12.35 k")} <= set(found.about)
    assert [(one.of, one.split) for one in found.scores] == [
        ("step 4", "test"),
        ("best by test, step 2 (selected on test data)", "test"),
    ]
    assert found.scores[1].metrics == {"accuracy": 0.875, "loss": 0.8}
    costs = dict(found.costs)
    assert costs["time of the run, all launches"] == "1:23"
    assert costs["until step 1 was logged, compilation included"] == "0:20"
    assert costs["examples per second, median"] == "125"
    assert costs["time waiting for data, median"] == "25.0 %"
    assert costs["data wait, of the last launch"] == "1.25 s"
    assert costs["peak memory of the process, bytes"] == "2,000,000,000"
    assert "peak memory of the device, bytes" not in costs  # of a CPU nothing is known
    assert found.checkpoints.rows == [[4, 4, "ab" * 8, "as its manifest says, by names and sizes"]]
    assert dict(found.versions)["numerics"] == "jax 1.2.3, 1 x cpu"
    assert dict(found.versions)["its state_sha256"] == "ab" * 32
    assert (found.faults, found.notes) == ([], [])
    assert f"must end with state_sha256 {'ab' * 32}" in found.repeats


def test_an_unfinished_run_is_told_as_far_as_it_has_come(tmp_path):
    workdir = past_run(tmp_path / "a", finished=False)
    with open(workdir.metrics, "r+b") as file:
        whole = file.read()
        file.truncate(whole.rindex(b'{"step": 3') + 17)
    found = facts(workdir)
    assert (found.state, found.finished) == ("not finished: logged up to step 2 of 4 (50 %)", False)
    assert found.headline == ("test accuracy", "33.3 %")
    assert dict(found.costs)["time of the run, all launches"] == "0:40"
    assert found.faults == ["Lines of metrics.jsonl that are damaged, and left out: 1."]


def test_a_run_that_has_not_begun_is_told(tmp_path):
    workdir = past_run(tmp_path / "a", finished=False)
    for path in (workdir.metrics, workdir.problem):
        path.unlink()
    found = facts(workdir)
    assert found.state == "not finished: logged up to step 0"
    assert (found.headline, found.scores, found.costs) == (None, [], [("size of a checkpoint, bytes", "4")])
    (note,) = found.notes
    assert note.endswith("problem.json is missing: the classes and the length of the run are not known")


def test_what_a_run_has_survived_is_told(tmp_path):
    workdir = past_run(tmp_path / "a", launches=(0, 2, 0))
    (workdir.checkpoints / "2.rejected").mkdir()
    (workdir.checkpoints / ".tmp-9").mkdir()
    found = facts(workdir)
    assert [row[2] for row in found.launches.rows] == [0, 2, 0]
    assert all(row[1] for row in found.launches.rows)  # the host
    again, over, *rest = found.faults
    assert again.startswith("The run was resumed at step 2 on 2")
    assert over.startswith("The run was begun again at step 0 on 2")
    assert rest == [
        "A checkpoint was damaged and set aside: 2.rejected.",
        "A write did not come to its end: checkpoints/.tmp-9. The next launch removes it.",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 7, struct.pack("<Q", 2**60) + b"\0" * 99, b"\5" + b"\0" * 11 + b"hello" * 9]
)
def test_a_file_that_is_no_launch_is_left_out(tmp_path, content):
    workdir = past_run(tmp_path / "a")
    (workdir.path / "tensorboard/events.out.tfevents.1.host.2").write_bytes(content)
    assert len(facts(workdir).launches.rows) == 1


def test_a_damaged_checkpoint_is_named(tmp_path):
    workdir = past_run(tmp_path / "a")
    (workdir.checkpoints / "4/arrays").write_bytes(b"123")
    found = facts(workdir)
    assert found.checkpoints.rows == [[4, None, None, "damaged: arrays: has 3 bytes, expected 4"]]
    assert found.versions == []


def test_tables_of_classes_and_pictures_are_found_and_a_damaged_table_is_named(tmp_path):
    workdir = past_run(tmp_path / "a")
    (workdir.path / "per_class_test.csv").write_text('class,accuracy,examples\n"a, b",0.25,4\n7,,0\n')
    (workdir.path / "per_class_train.csv").write_text("class,accuracy\na\n")
    (workdir.path / "per_class_validation.csv").write_bytes(b"\xff\xfe")
    for name in ("curves.png", "inputs.png"):
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(workdir.plots / name)
    found = facts(workdir)
    (table,) = found.by_class
    assert table == ("test", ["class", "accuracy", "examples"], [["a, b", 0.25, 4], ["7", None, 0]])
    assert [path.name for path in found.pictures] == ["inputs.png"]
    assert [note.partition(":")[0] for note in found.notes] == [
        "per_class_train.csv cannot be read",
        "per_class_validation.csv cannot be read",
    ]


def test_a_profile_is_a_table(tmp_path):
    workdir = past_run(tmp_path / "a")
    (workdir.path / "profile").mkdir()
    (workdir.path / "profile/parts.json").write_text(json.dumps(PROFILE))
    (table,) = facts(workdir).parts
    assert table.title == (
        "profile of steps 4 to 13 on 1 x cpu: 50 ms a step, 40.0 % of the rate of a large matmul"
        " (50 GFLOP/s in float32); compilation 2 s"
    )
    assert table.rows == [["head", 10.0, 20.0, "60.0 %", "5", "30.0 %"], ["idle", 20.0, 0.0, "40.0 %", "0", ""]]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"parts": 3}', '{"version": 1}', json.dumps(PROFILE | {"parts": [3]})]
)
def test_a_damaged_profile_is_named(tmp_path, text):
    workdir = past_run(tmp_path / "a")
    (workdir.path / "profile").mkdir()
    (workdir.path / "profile/parts.json").write_text(text)
    found = facts(workdir)
    assert found.parts == []
    (note,) = found.notes
    assert note.startswith("profile/parts.json cannot be read: ")


# How the config differs from its file


def test_what_the_command_has_changed_is_told_with_what_the_file_says(tmp_path):
    found = facts(past_run(tmp_path / "a", "--config.model.num_latents=8"))
    assert found.changed_from == "As in configs/digits.py, but for:"
    assert found.changes == [
        Change("model.num_latents", "16", "8", "the command"),
        Change("train.duration", '"3000 steps"', '"4 steps"', "the command"),
    ]
    assert found.settings["model.num_latents"] == "8"


@pytest.mark.parametrize(
    ("words", "told", "by"),
    [
        (["--config=FILE"], "As in FILE, but for:", "the file has changed since, or a flag file"),
        (["--config", "FILE", "--tiny"], "As in FILE, but for:", "--tiny"),
        (["--config", "FILE", "--tiny=false"], "As in FILE, but for:", "the file has changed since, or a flag file"),
        (["--config", "FILE", "-config.train.duration", "4 steps"], "As in FILE, but for:", "the command"),
        ([], "The recorded command names no config file.", None),
        (["--config", "none.py"], "none.py is not here; what its command changed:", None),
        (["--config", "none.py:v", "--config.train.duration=4 steps"], "none.py:v is not here; what its", "the command"),
        (["--config", "WORKDIR/c.py"], "WORKDIR/c.py lies in the workdir, and is not run; what its command changed:", None),
        (["--config", "BROKEN"], "BROKEN cannot be read now (config BROKEN line 1: ZeroDivisionError", None),
        (["--config", "FILE:big"], "FILE:big cannot be read now (", None),
    ],
)
def test_every_way_to_name_a_config_is_understood(tmp_path, words, told, by):
    workdir = past_run(tmp_path / "run")
    places = {"FILE": ROOT / "configs/digits.py", "WORKDIR": workdir.path, "BROKEN": tmp_path / "broken.py"}
    places["BROKEN"].write_text("1 / 0\n")
    (workdir.path / "c.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name, place in places.items():
        words, told = [word.replace(name, str(place)) for word in words], told.replace(name, str(place))
    found = differences(read_run(workdir.path).config, ["train.py", *words], workdir.path)
    assert found.words.startswith(told)
    assert {change.by for change in found.changes} == ({by} if by else set())
    assert not (tmp_path / "ran").exists()


def test_a_config_file_that_has_changed_since_is_told(tmp_path, capfd):
    text = (ROOT / "configs/digits.py").read_text().replace("num_latents=16", "num_latents=17")
    (tmp_path / "mine.py").write_text(text + "\nprint('loud')\n")
    run = read_run(past_run(tmp_path / "a").path)
    found = differences(run.config, ["x", "--config", str(tmp_path / "mine.py")], run.workdir.path)
    assert found.changes[0] == Change("model.num_latents", "17", "16", "the file has changed since, or a flag file")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("/a b/experiments/train.py", "--workdir", "x y"), "cd '/a b'\npython -m experiments.train --workdir 'x y'"),
        (("experiments/train.py", "--tiny"), "python -m experiments.train --tiny"),
        (("mine.py", "a;b"), "mine.py 'a;b'"),
        ((), ""),
    ],
)
def test_the_command_is_one_that_can_be_typed(command, text):
    assert command_text(command) == text


def test_a_command_of_no_words_is_told(tmp_path):
    workdir = past_run(tmp_path / "a")
    record = json.loads(workdir.config.read_text())
    workdir.config.write_text(json.dumps(record | {"command": [], "earlier_durations": ["2 steps"]}))
    found = facts(workdir)
    assert found.changed_from == "The recorded command names no config file."
    assert "earlier lengths: 2 steps." in found.repeats


def test_a_log_that_is_a_directory_is_refused(tmp_path):
    workdir = past_run(tmp_path / "a")
    workdir.metrics.unlink()
    workdir.metrics.mkdir()
    with pytest.raises(Failure, match="no metrics to read"):
        facts(workdir)
