"""Data renamed, changed, moved, damaged or lost: a run reports it, resumes where it can, and predicts without them."""

import json
import shutil

import cv2
import numpy as np
import pytest

from perceiver_jax.errors import Code
from perceiver_jax.runs.load import load
from tests.runs import folder


@pytest.fixture(scope="module")
def original(launcher, once):
    """Pictures and a finished run on them, not to be changed."""
    return once("moved_data", lambda path: folder.make(launcher, path))


@pytest.fixture
def place(original, tmp_path):
    """A copy of both."""
    return shutil.copytree(original, tmp_path / "place")


@pytest.fixture(scope="module")
def at_first(original, launcher, once):
    """What the run predicts where it was trained."""

    def make(path):
        path.mkdir()
        (path / "classes.json").write_text(json.dumps(predicted(launcher, original)))

    return json.loads((once("predicted_at_first", make) / "classes.json").read_text())


def predicted(launcher, place):
    """The classes of one picture and their probabilities."""
    command = launcher.start("scripts.predict", "--workdir", "run", "--json", "mine.png", cwd=place)
    assert command.wait() == 0, command.stderr
    return {one["class"]: one["probability"] for one in json.loads(command.stdout)["classes"]}


def evaluation(launcher, place, *arguments):
    """The command, at its end."""
    command = launcher.start("experiments.evaluate", "--workdir", "run", "--json", *arguments, cwd=place)
    command.wait()
    return command


def evaluated(launcher, place, *arguments):
    """The metrics that are reported, and what is reported on stderr."""
    command = evaluation(launcher, place, *arguments)
    assert command.wait() == 0, command.stderr
    return json.loads(command.stdout), command.stderr


def rename(place):
    for split in folder.COUNTS:
        (place / "pictures" / split / "low").rename(place / "pictures" / split / "tall")


def add_class(place):
    for split in folder.COUNTS:
        shutil.copytree(place / "pictures" / split / "low", place / "pictures" / split / "new")


# Classes


@pytest.mark.parametrize("change", [rename, add_class, lambda place: shutil.rmtree(place / "pictures")])
def test_a_prediction_has_the_classes_that_were_learned_whatever_became_of_the_data(change, at_first, place, launcher):
    change(place)
    found = predicted(launcher, place)
    assert found == at_first
    assert set(found) == set(folder.CLASSES)


def test_after_a_class_was_renamed_evaluation_says_which_is_gone_and_which_is_new_and_loses_nothing(place, launcher):
    rename(place)
    before = folder.lasting_files(place)
    command = evaluation(launcher, place)
    assert (command.wait(), command.stdout) == (Code.DATA, "")
    lines = ["error[3] the run was not trained on class tall", "  found: class low is gone", "  expected: one of high, low"]
    assert command.stderr.splitlines() == [*lines, "  try: give its folder the name that it had"]
    assert folder.lasting_files(place) == before


def test_after_a_class_was_added_evaluation_says_which(place, launcher):
    add_class(place)
    command = evaluation(launcher, place)
    assert command.wait() == Code.DATA
    assert command.stderr.startswith("error[3] the run was not trained on class new\n  expected: one of ")


def test_after_a_class_was_renamed_training_says_which_and_resumes_when_it_has_its_name_again(place, launcher):
    end = folder.unfinish(place)
    rename(place)
    run = folder.train(launcher, place)
    assert run.wait() == Code.DATA
    reported = (
        "error[3] the data are not those that the run began with: pictures\n  found: class low is gone; class tall is new\n"
    )
    assert run.stderr.startswith(reported)
    for split in folder.COUNTS:
        (place / "pictures" / split / "tall").rename(place / "pictures" / split / "low")
    assert folder.finished(launcher, place) == end


# Pictures


def test_after_a_test_picture_was_added_evaluation_continues_with_a_note_of_the_counts(place, launcher):
    folder.write_picture(place / "pictures/test/low/more.png", np.random.default_rng(1))
    found, err = evaluated(launcher, place)
    assert err == "note: the data have changed since the run began: test has 9 examples, had 8\n"
    assert found["accuracy"] * 9 == pytest.approx(round(found["accuracy"] * 9), abs=1e-5)


def grow(place):
    folder.write_picture(place / "pictures/train/high/more.png", np.random.default_rng(1))


def replace(place):
    folder.write_picture(place / "pictures/train/high/0.png", np.random.default_rng(1))


@pytest.mark.parametrize(
    ("change", "words"),
    [(grow, "train has 17 examples, had 16"), (replace, "other files, or other labels or sizes of the same files")],
)
def test_on_other_data_training_stops_and_says_what_has_changed(change, words, place, launcher):
    folder.unfinish(place)
    before = folder.lasting_files(place)
    change(place)
    run = folder.train(launcher, place)
    assert run.wait() == Code.DATA
    first = "error[3] the data are not those that the run began with: pictures"
    hint = "  try: the data that the run began with (--config.data.data_dir=DIR where they have moved), or a new --workdir"
    assert run.stderr.splitlines() == [first, f"  found: {words}", hint]
    assert folder.lasting_files(place) == before


# Data that are elsewhere, or nowhere


def test_data_that_have_moved_lead_to_the_same_end(place, launcher):
    end = folder.unfinish(place)
    (place / "pictures").rename(place / "elsewhere")
    run = folder.train(launcher, place, "--config.data.data_dir=elsewhere")
    assert run.wait() == 0, run.stderr
    assert "resumed at step 2\n" in run.stderr
    assert json.loads((place / "run/result.json").read_text())["state_sha256"] == end


def test_data_that_have_moved_are_evaluated_where_they_are(original, place, launcher):
    (place / "pictures").rename(place / "elsewhere")
    assert evaluation(launcher, place).wait() == Code.DATA
    assert evaluated(launcher, place, "--data_dir", "elsewhere") == evaluated(launcher, original)


def test_without_data_training_and_evaluation_stop_and_name_the_folder(place, launcher):
    folder.unfinish(place)
    shutil.rmtree(place / "pictures")
    for command in (folder.train(launcher, place), evaluation(launcher, place)):
        assert command.wait() == Code.DATA
        assert command.stderr.startswith(f"error[3] data.data_dir is not a directory: {place}/pictures\n")


def test_without_data_a_file_is_drawn_as_before(original, place, launcher, tmp_path):
    shutil.rmtree(place / "pictures")
    for here, output in ((original, "before"), (place, "after")):
        maps = ("--workdir", "run", "--output", tmp_path / output, "mine.png")
        command = launcher.start("scripts.attention_maps", *maps, cwd=here)
        assert command.wait() == 0, command.stderr
    before, after = (cv2.imread(str(tmp_path / output / "mine.png")) for output in ("before", "after"))
    np.testing.assert_array_equal(after, before)


def test_without_data_a_file_is_embedded_as_before(original, place):
    shutil.rmtree(place / "pictures")
    before, after = (load(here / "run").embed(here / "mine.png") for here in (original, place))
    assert after.shape == (1, 8)
    np.testing.assert_array_equal(after, before)


# Pictures that cannot be read


@pytest.fixture
def fresh(original, tmp_path):
    """A copy of the pictures alone."""
    shutil.copytree(original / "pictures", tmp_path / "fresh" / "pictures")
    return tmp_path / "fresh"


def cut(place, name):
    """Leaves half of a picture's file, and returns the whole."""
    path = place / "pictures" / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return content


@pytest.mark.parametrize("split", folder.COUNTS)
def test_a_cut_picture_is_named_before_training_and_once_it_is_removed_the_same_command_resumes(split, fresh, launcher):
    cut(fresh, f"{split}/low/3.png")
    run = folder.train(launcher, fresh)
    assert run.wait() == Code.DATA
    assert f"error[3] picture truncated: {fresh}/pictures/{split}/low/3.png\n" in run.stderr.replace("\r", "\n")
    assert "step 1/" not in run.stderr
    assert not (fresh / "run/problem.json").exists()
    (fresh / f"pictures/{split}/low/3.png").unlink()
    folder.finished(launcher, fresh)


def test_pictures_that_may_be_bad_are_left_out_with_a_note(fresh, launcher):
    for name in ("train/low/3.png", "test/high/1.png"):
        cut(fresh, name)
    run = folder.train(launcher, fresh, "--config.data.max_bad=2")
    assert run.wait() == 0, run.stderr
    for name in ("train/low/3.png", "test/high/1.png"):
        assert f"left out {name}: picture truncated: " in run.stderr
    assert load(fresh / "run").problem.num_examples == {"train": 15, "test": 7}


@pytest.fixture(scope="module")
def lacking(original, launcher, once):
    """A finished run that has left a cut picture out, not to be changed."""

    def make(path):
        shutil.copytree(original / "pictures", path / "pictures")
        cut(path, "train/low/3.png")
        folder.finished(launcher, path, "--config.data.max_bad=2")

    return once("lacking", make)


@pytest.mark.parametrize("repaired", [True, False], ids=["repaired", "removed"])
def test_a_run_that_left_pictures_out_resumes_after_they_were(repaired, original, lacking, launcher, tmp_path):
    place = shutil.copytree(lacking, tmp_path / "place")
    end = folder.unfinish(place)
    (place / "pictures/train/low/3.png").unlink()
    if repaired:
        shutil.copy(original / "pictures/train/low/3.png", place / "pictures/train/low/3.png")
    run = folder.train(launcher, place, "--config.data.max_bad=2")
    assert run.wait() == 0, run.stderr
    assert "resumed at step 2\n" in run.stderr
    assert json.loads((place / "run/result.json").read_text())["state_sha256"] == end
