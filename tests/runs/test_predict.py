"""Predictions of files, each by itself, whatever else is asked."""

import io
import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from perceiver_jax.errors import Failure
from perceiver_jax.modalities import image
from perceiver_jax.runs.files import listed
from perceiver_jax.runs.load import STDIN, load, read_file
from perceiver_jax.runs.programs import Programs
from tests.launch import SMALL, problem_of

SETTINGS = [*SMALL, "--config.train.duration=4 steps", "--config.optim.learning_rate=0.1"]
SPLIT_EXAMPLES = (0, 3, 5)


@pytest.fixture(scope="module")
def run(launcher, once):
    """The workdir of a finished run on digits, with pictures of some of its test examples in it: 0.png, 3.png, 5.png."""

    def make(path):
        launcher.finish(path, *SETTINGS)
        source = problem_of(*SETTINGS).data.source.load("test")
        for i in SPLIT_EXAMPLES:
            cv2.imwrite(str(path / f"{i}.png"), source[i].inputs["image"])
        (path / "page.png").write_text("<html>")

    return once("predicted", make)


def asked(launcher, run, *arguments):
    """The exit code of `scripts.predict`, what it prints on stdout and on stderr."""
    command = launcher.start("scripts.predict", "--workdir", run, *arguments)
    return command.wait(), command.stdout, command.stderr


def predicted(launcher, run, *arguments):
    """The objects of `--json`."""
    code, out, err = asked(launcher, run, "--json", *arguments)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_a_file_gets_the_probabilities_of_the_example_that_it_holds(run, launcher):
    (found,) = predicted(launcher, run, "--top", "10", run / "3.png")
    problem = problem_of(*SETTINGS)
    programs = Programs(problem)
    variables = programs.restore(run / "checkpoints", 4).evaluated
    logits = np.asarray(programs.forward(variables, *problem.data.example("test", 3)).logits[0], np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert (found["file"], found["step"]) == (str(run / "3.png"), 4)
    assert [one["class"] for one in found["classes"]] == [str(label) for label in np.argsort(-expected)]
    probabilities = [one["probability"] for one in found["classes"]]
    np.testing.assert_allclose(probabilities, np.sort(expected)[::-1], rtol=1e-5)


def test_a_prediction_is_the_same_alone_and_among_others(run, launcher):
    together = predicted(launcher, run, *[run / f"{i}.png" for i in SPLIT_EXAMPLES])
    assert predicted(launcher, run, run / "5.png") == together[2:]
    assert len({json.dumps(one["classes"]) for one in together}) == 3


def test_a_table_names_each_file_once_and_as_many_classes_as_asked(run, launcher):
    code, out, err = asked(launcher, run, "--top", "2", run / "0.png", run / "3.png")
    assert (code, err) == (0, "")
    header, _, *rows = [line.split() for line in out.splitlines()]
    assert header == ["file", "class", "probability"]
    assert [row[0] for row in rows[::2]] == [str(run / "0.png"), str(run / "3.png")]
    found = predicted(launcher, run, "--top", "2", run / "0.png", run / "3.png")
    said = [[one["class"], f"{100 * one['probability']:.1f}", "%"] for object_ in found for one in object_["classes"]]
    assert [row[-3:] for row in rows] == said


def test_more_classes_than_there_are_are_all(run, launcher):
    (found,) = predicted(launcher, run, "--top", "99", run / "0.png")
    assert len(found["classes"]) == 10
    assert sum(one["probability"] for one in found["classes"]) == pytest.approx(1)


def test_bad_files_are_named_and_the_good_ones_predicted_all_the_same(run, launcher):
    code, out, err = asked(launcher, run, "--json", run / "page.png", run / "0.png", "nowhere.png", run / "3.png")
    assert code == 3
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(run / "0.png"), str(run / "3.png")]
    lines = err.splitlines()
    assert lines[0] == f"error[3] picture not-an-image: {run / 'page.png'}"
    assert "error[3] nowhere.png: does not exist" in lines
    assert lines[-1] == "error[3] 2 of 4 files were left out"


def test_a_folder_a_list_and_a_pipe_are_files_too(run, launcher, tmp_path):
    folder, pipe = tmp_path / "mine", tmp_path / "pipe"
    (folder / "more").mkdir(parents=True)
    for name, i in (("b.PNG", 0), ("more/a.png", 3), (".hidden.png", 5)):
        (folder / name).write_bytes((run / f"{i}.png").read_bytes())
    (folder / "notes.txt").write_text("not a picture")
    (folder / "again").symlink_to(folder)
    (tmp_path / "list.txt").write_text(f"\ufeff{run}/0.png\r\n\r\n  {run}/3.png\n")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((run / "3.png").read_bytes()))
    writer.start()
    given = [run / "0.png", run / "3.png", folder, pipe, "--files", tmp_path / "list.txt"]
    code, out, err = asked(launcher, run, "--json", *given)
    writer.join()
    found = [json.loads(line) for line in out.splitlines()]
    files = [run / "0.png", run / "3.png", folder / "b.PNG", folder / "more/a.png", pipe, run / "0.png", run / "3.png"]
    assert (code, [one["file"] for one in found]) == (0, list(map(str, files)))
    first, second = found[0]["classes"], found[1]["classes"]
    assert [one["classes"] for one in found] == [first, second, first, second, second, first, second]
    note = "left out 1 .txt, 1 hidden file (.hidden.png), 1 link to a folder around it (again)"
    assert err.startswith(f"note: {folder}: {note}\n"), err


def test_a_list_may_be_as_find_and_powershell_write_it(run, tmp_path, monkeypatch):
    opened, names = load(run), ["a b.png", "~/\u00fc.png", "c\nd.png"]
    monkeypatch.setenv("HOME", str(tmp_path))
    lists = {"found": "\0".join([*names, ""]).encode(), "powershell": "\r\n".join(names[:2]).encode("utf-16")}
    for name, data in lists.items():
        (tmp_path / name).write_bytes(data)
        found = listed([], str(tmp_path / name), opened, [], print)
        assert found == [Path("a b.png"), tmp_path / "\u00fc.png", Path("c\nd.png")][: 3 if name == "found" else 2]


def test_a_file_that_is_no_list_is_told(run):
    with pytest.raises(Failure) as caught:
        listed([], str(run / "3.png"), load(run), [], print)
    assert str(caught.value) == (
        f"error[3] --files {run / '3.png'}\n  found: no list of names, one a line\n"
        "  try: without --files, if it is a file to be read"
    )


def test_an_empty_folder_and_the_home_of_nobody_cost_themselves_alone(run, launcher, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, err = asked(launcher, run, "--top=1", tmp_path / "empty", "~nobody-at-all/a.png", run / "3.png")
    assert (code, len(out.splitlines())) == (3, 3)
    assert f"error[3] nothing to read in {tmp_path}/empty\n" in err
    assert "error[3] ~nobody-at-all/a.png: does not exist\n" in err
    assert err.endswith("error[3] 2 of 3 files were left out\n")


def test_standard_input_is_a_file_too(run, monkeypatch):
    data = (run / "3.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert read_file(STDIN) == data


def test_a_folder_without_pictures_is_reported_with_what_it_holds(run, launcher, tmp_path):
    (tmp_path / "a.txt").touch()
    (tmp_path / "b").touch()
    code, out, err = asked(launcher, run, tmp_path)
    assert (code, out) == (3, "")
    assert err.startswith(
        f"error[3] nothing to read in {tmp_path}\n  found: 1 .txt, 1 file without suffix (b)\n  expected: .jpg"
    )


def test_a_picture_is_seen_upright_and_at_the_size_of_the_inputs(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(image, "_RESIZED", Counter())
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.ascontiguousarray(np.rot90(pixels))
    large = np.pad(pixels.repeat(6, axis=0).repeat(6, axis=1), ((0, 0), (8, 8), (0, 0)))  # its centre is the small one
    Image.fromarray(pixels).save(tmp_path / "small.png")
    Image.fromarray(lying).save(tmp_path / "lying.png", exif=exif)
    Image.fromarray(large).save(tmp_path / "large.png")
    opened = load(run)
    expected, small, turned = (
        opened.inputs_of(tmp_path / f"{name}.png")[0]["image"] for name in ("small", "lying", "large")
    )
    np.testing.assert_array_equal(small, expected)
    np.testing.assert_array_equal(turned, expected)
    note = f"note: {tmp_path}/large.png is 64 x 48 pixels; its centre was resized to 8 x 8\n"
    assert capsys.readouterr() == ("", note)


@pytest.mark.parametrize(
    ("arguments", "code", "reported"),
    [
        ([], 2, "error[2] no files given\n"),
        (["--top=0", "0.png"], 2, "error[2] flag --top=0: 0 is not a positive integer\n"),
        (["nowhere.png"], 3, "error[3] nowhere.png: does not exist\n"),
        (["--step=7", "0.png"], 4, "error[4] no checkpoint at {run}/checkpoints/7"),
    ],
)
def test_what_cannot_be_predicted_is_reported_once(arguments, code, reported, run, launcher):
    ended, out, err = asked(launcher, run, *arguments)
    assert (ended, out) == (code, "")
    assert err.startswith(reported.format(run=run))
    assert err.count("error[") == 1


def test_a_run_that_is_not_there_is_reported(launcher, tmp_path):
    code, _, err = asked(launcher, tmp_path / "run", "0.png")
    assert (code, err.splitlines()[0]) == (4, f"error[4] no run at {tmp_path / 'run'}")
