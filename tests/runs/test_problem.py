"""What a run learns is stored with it: what is damaged is named, and made again only from the same data."""

import json
import re
import shutil

import pytest

from perceiver_jax.data.sources import Contents
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs import problem as problems
from perceiver_jax.runs import workdir
from tests.launch import SMALL, config_of, problem_of
from tests.runs import folder

SETTINGS = [*SMALL, "--config.train.duration=4 steps", "--config.train.checkpoint_every=2 steps"]
HELD_OUT = ["--config.data.validation_examples=100", "--config.train.eval_splits=('validation', 'test')"]


def test_a_stored_problem_is_the_one_that_was_made():
    problem = problem_of(*SMALL)
    stored = json.loads(json.dumps(problems.dump(problem)))
    again = problems.load(problem.config, stored)
    assert problems.dump(again) == problems.dump(problem)
    assert (again.streams, again.classes, again.inputs) == (problem.streams, problem.classes, problem.inputs)
    assert problems.differences(again, problem) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"num_examples": {"test": 3}}, "num_examples: none of train"),
        ({"num_examples": {"train": 0, "test": 3}}, "num_examples: none of train"),
        ({"num_examples": {"train": "9"}}, "num_examples.train: input should be a valid integer"),
        ({"num_examples": {"train": -1}}, "num_examples.train: input should be greater than or equal to 0"),
        ({"classes": []}, "classes: list should have at least 1 item after validation, not 0"),
        ({"classes": "0123456789"}, "classes: input should be a valid list"),
        ({"baselines": {"a": "best"}}, "baselines.a: input should be a valid number"),
        ({"streams": [3]}, "streams.0: input should be a valid dictionary"),
    ],
)
def test_a_stored_problem_of_another_form_is_refused_with_the_field(change, found):
    problem = problem_of(*SMALL)
    with pytest.raises(ValueError, match=found):
        problems.load(problem.config, problems.dump(problem) | change)


def test_held_out_examples_come_from_train():
    assert problem_of(*HELD_OUT).num_examples == {"train": 1247, "validation": 100, "test": 450}


def test_more_held_out_examples_than_there_are_are_refused():
    with pytest.raises(Failure) as caught:
        problem_of("--config.data.validation_examples=1347", "--config.train.eval_splits=('validation', 'test')")
    assert str(caught.value).startswith("error[2] data.validation_examples 1347: split train has 1347 examples\n")


def test_the_fingerprint_follows_contents_and_what_is_held_out_but_no_other_setting():
    plain, smaller, other = (problem_of(*settings).fingerprint for settings in ((), SMALL, HELD_OUT))
    assert re.fullmatch("[0-9a-f]{16}", plain)
    assert (smaller == plain, other == plain) == (True, False)


def of(classes, **sizes):
    """A problem of digits with other contents."""
    config = config_of()
    contents = Contents(tuple(classes), sizes)
    return problems.make(config, contents, f"{classes}{sizes}")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (of("abd", train=9, test=3), ["class c is gone", "class d is new"]),
        (of("abc", train=9, test=4), ["test has 4 examples, had 3"]),
        (of("abc", train=9), ["test has 0 examples, had 3"]),
        (of("ghijklm", train=9, test=3), [*(f"class {c} is gone" for c in "abc"), *(f"class {c} is new" for c in "ghijk"),
                                          "and 2 more classes"]),
        (of("acb", train=9, test=3), ["other files, or other labels or sizes of the same files"]),
        (of("abc", train=9, test=3), []),
    ],
)  # fmt: skip
def test_what_has_changed_of_the_data_is_said_in_words(found, words):
    assert problems.differences(of("abc", train=9, test=3), found) == words


# A file that is damaged


@pytest.fixture(scope="module")
def original(launcher, once):
    """The workdir of a finished run on digits, not to be changed."""
    return once("problem", lambda path: launcher.finish(path, *SETTINGS))


@pytest.fixture
def run(original, tmp_path):
    """A copy of it."""
    return shutil.copytree(original, tmp_path / "run")


def flip(path):
    path.write_text(path.read_text().replace('"3"', '"8"', 1))


def empty(path):
    path.write_text("")


def no_record(path):
    path.write_text("[]")


def other_format(path):
    record = json.loads(path.read_text()) | {"format": problems.FORMAT + 1}
    del record["sha256"]
    path.write_bytes(workdir._text(workdir._signed(record)))


def edit_checksum(path):
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"sha256": record["sha256"][::-1]}))


def other_streams(path):
    record = json.loads(path.read_text())
    del record["sha256"]
    record["streams"][0]["name"] = "photograph"
    path.write_bytes(workdir._text(workdir._signed(record)))


DAMAGES = {
    flip: "its checksum differs",
    empty: "Expecting value: line 1 column 1 (char 0)",
    no_record: "'list' object has no attribute 'items'",
    other_format: f"format {problems.FORMAT + 1}, expected {problems.FORMAT}",
    edit_checksum: "its checksum differs",
    other_streams: "streams ['photograph'], config has ['image']",
}


def read(run):
    """The failure that reading the problem of a run ends with."""
    with pytest.raises(Failure) as caught:
        workdir.read_problem(workdir.Workdir(run), config_of(*SETTINGS))
    assert caught.value.code == Code.CHECKPOINT
    return caught.value


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_problem_file_is_named_with_what_is_wrong_and_the_remedy(damage, run):
    damage(run / "problem.json")
    failure = read(run)
    assert str(failure).splitlines() == [
        f"error[4] {run}/problem.json: is damaged",
        f"  found: {DAMAGES[damage]}",
        "  try: delete it and launch training again with the same data: it is made again, and checkpoints verify it",
    ]


def test_any_character_that_is_changed_is_found(run):
    path = run / "problem.json"
    text = path.read_text()
    for i, character in enumerate(text):
        if character.isalnum():
            path.write_text(text[:i] + ("0" if character != "0" else "1") + text[i + 1 :])
            assert "is damaged" in str(read(run))


def test_a_missing_problem_file_is_named_with_the_remedy(run):
    (run / "problem.json").unlink()
    assert str(read(run)) == (
        f"error[4] {run}/problem.json: is missing\n"
        "  try: launch training again with the same data: it is made again, and checkpoints verify it"
    )


@pytest.mark.parametrize(
    "module", ["experiments.train", "experiments.evaluate", "scripts.predict", "scripts.attention_maps"]
)
def test_every_command_ends_at_a_damaged_problem_file(module, run, launcher, tmp_path):
    flip(run / "problem.json")
    arguments = {
        "experiments.train": ["--config", "configs/digits.py", *{s.partition("=")[0]: s for s in SETTINGS}.values()],
        "scripts.predict": ["mine.png"],
        "scripts.attention_maps": ["--output", tmp_path / "maps"],
    }
    command = launcher.start(module, "--workdir", run, *(arguments.get(module, [])))
    assert command.wait() == Code.CHECKPOINT
    assert f"error[4] {run}/problem.json: is damaged\n" in command.stderr


def test_deleted_it_is_made_again_and_the_run_resumes_to_the_same_end(original, run, launcher):
    (run / "result.json").unlink()
    shutil.rmtree(run / "checkpoints" / "4")
    (run / "problem.json").unlink()
    again = launcher.train(run, *SETTINGS)
    assert again.wait() == 0, again.stderr
    assert "resumed at step 2\n" in again.stderr
    assert (run / "problem.json").read_bytes() == (original / "problem.json").read_bytes()
    ends = [json.loads((path / "result.json").read_text())["state_sha256"] for path in (run, original)]
    assert ends[0] == ends[1]


def test_deleted_it_is_not_made_of_other_data(launcher, once, tmp_path):
    """Else the run would answer with the names of classes that it was not trained on."""
    place = shutil.copytree(once("moved_data", lambda path: folder.make(launcher, path)), tmp_path / "place")
    folder.unfinish(place)
    (place / "run" / "problem.json").unlink()
    for split in folder.COUNTS:
        (place / "pictures" / split / "low").rename(place / "pictures" / split / "tall")
    run = folder.train(launcher, place)
    assert run.wait() == Code.DATA
    assert "error[3] checkpoint 2 was trained on other data: pictures\n" in run.stderr
    assert not (place / "run" / "problem.json").exists()


# Runs of an older version


@pytest.mark.parametrize("module", ["experiments.train", "experiments.evaluate", "scripts.predict"])
def test_a_run_of_version_0_1_is_refused_with_the_version_that_reads_it(module, run, launcher):
    record = json.loads((run / "config.json").read_text())
    record["config"]["data"]["source"] = record["config"]["data"].pop("kind")
    (run / "config.json").write_text(json.dumps(record))
    (run / "problem.json").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    arguments = {"experiments.train": ["--config", "configs/digits.py", *SETTINGS[:3]], "scripts.predict": ["mine.png"]}
    command = launcher.start(module, "--workdir", run, *(arguments.get(module, [])))
    assert command.wait() == Code.CHECKPOINT
    assert command.stderr.splitlines()[-2:] == [
        f"error[4] {run}/config.json: is of perceiver_jax 0.1",
        "  try: perceiver_jax 0.1.0 reads it; or train again in another --workdir",
    ]
    assert {path: path.read_bytes() for path in before} == before
