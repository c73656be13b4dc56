"""Evaluation is exact, and says the same wherever it is asked."""

import csv
import functools
import json
import shutil

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from perceiver_jax.data import pipeline
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.image import Image
from perceiver_jax.report.log import read_metrics
from perceiver_jax.runs import workdir
from perceiver_jax.runs.evaluate import evaluate, vote
from perceiver_jax.runs.load import load
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.system.watchdog import Watchdog
from tests.launch import SMALL, config_of, problem_of
from tests.problems import joined

SETTINGS = [
    *SMALL,
    "--config.train.duration=8 steps",
    "--config.train.checkpoint_every=4 steps",
    "--config.train.eval_every=4 steps",
    "--config.data.validation_examples=100",
    "--config.train.eval_splits=('validation',)",
    "--config.optim.ema_decay=0.8",
    "--config.optim.learning_rate=0.1",  # so that a few steps change answers
]


@pytest.fixture(scope="module")
def run(launcher, once):
    """The workdir of a run with checkpoints 4 and 8 and an average of its parameters."""
    return once("evaluated", lambda path: launcher.finish(path, *SETTINGS))


def copy_of(run, path):
    """Copies the run, without the pictures that others may be drawing."""
    shutil.copytree(run, path, ignore=shutil.ignore_patterns("plots"))


def evaluated(launcher, path, *arguments):
    """What `experiments.evaluate --json` prints."""
    run = launcher.start("experiments.evaluate", "--workdir", path, "--json", *arguments)
    assert run.wait() == 0, run.stderr
    return json.loads(run.stdout)


def refused(launcher, path, *arguments):
    """The exit code and the first line on stderr."""
    run = launcher.start("experiments.evaluate", "--workdir", path, *arguments)
    return run.wait(), run.stderr.splitlines()[0]


@functools.cache
def programs_of(*settings):
    """The programs of the run with other settings, compiled once."""
    return Programs(problem_of(*SETTINGS, *settings))


def trained(path, programs, step=8):
    """The state of a saved step."""
    return programs.restore(path / "checkpoints", step)


def test_it_repeats_what_training_said_at_that_step_while_a_trainer_holds_the_run(run, launcher):
    logged = {record.pop("step"): record for record in read_metrics(run / "metrics.jsonl") if record["split"] != "train"}
    assert logged[4] != logged[8]
    before = (run / "metrics.jsonl").read_bytes()
    with workdir.claim(str(run), config_of(*SETTINGS), ["train"]):
        found = evaluated(launcher, run, "--step", "4", "--split", "validation")
    assert found == {"step": 4, **logged[4]}
    assert (run / "metrics.jsonl").read_bytes() == before


def test_without_a_step_it_takes_the_newest_valid_one_and_changes_nothing(run, launcher, tmp_path):
    copy_of(run, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "8" / "manifest.json").write_text("{}")
    found = evaluated(launcher, tmp_path / "run")
    assert (found["step"], found["split"]) == (4, "test")
    assert sorted(step.name for step in (tmp_path / "run" / "checkpoints").iterdir()) == ["4", "8"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--split", "validatoin"], Code.CONFIG, "error[2] data set digits has no split 'validatoin'"),
        (["--step", "5"], Code.CHECKPOINT, "error[4] no checkpoint at {run}/checkpoints/5"),
        (["--step", "x"], Code.CONFIG, "error[2] flag --step=x: "),
        (["--votes", "0"], Code.CONFIG, "error[2] flag --votes=0: 0 is not a positive integer"),
        (["--votes", "-3"], Code.CONFIG, "error[2] flag --votes=-3: -3 is not a positive integer"),
    ],
)
def test_what_is_not_there_is_named(arguments, code, words, run, launcher):
    status, line = refused(launcher, run, *arguments)
    assert status == code
    assert line.startswith(words.format(run=run))


def test_a_run_that_has_saved_nothing_is_named(launcher, tmp_path):
    problem = problem_of(*SETTINGS)
    with workdir.claim(str(tmp_path / "run"), problem.config, ["train"]) as claimed:
        workdir.write_problem(claimed, problem)
    assert refused(launcher, tmp_path / "run") == (4, f"error[4] no checkpoint: {tmp_path}/run/checkpoints")


def metrics(programs, variables, split):
    """What is reported of a split."""
    return programs.problem.task.finish(evaluate(programs, variables, split, StopFlag(), Watchdog(None)))


def numbers(path, size):
    """The test metrics of the trained parameters, by batches of `size`."""
    programs = programs_of(f"--config.data.eval_batch_size={size}")
    return metrics(programs, trained(path, programs).evaluated, "test")


def test_every_example_counts_once_whatever_the_batch_size(run):
    """450 examples: batches of 7 and 128 end with a part, padded with zeros that would be answers too."""
    whole = numbers(run, 450)
    assert whole["accuracy"] not in (0, 1)
    for size in (7, 128):
        found = numbers(run, size)
        assert {**found, "loss": 0} == {**whole, "loss": 0}
        assert found["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_the_running_mean_is_what_is_evaluated(run):
    programs = programs_of()
    state, logged = trained(run, programs), read_metrics(run / "metrics.jsonl")[-2:]
    (said,) = [record for record in logged if record["split"] == "validation"]
    means = metrics(programs, state.evaluated._replace(params=state.ema), "validation")
    assert means == {name: said[name] for name in means}
    assert metrics(programs, state.evaluated._replace(params=state.params), "validation")["loss"] != means["loss"]


def test_an_example_s_logits_do_not_depend_on_its_batch(run):
    programs = programs_of()
    variables = trained(run, programs).evaluated
    forward = jax.jit(lambda variables, inputs: programs.forward(variables, {"image": inputs}, {}).logits)
    batches = pipeline.eval_batches(programs.problem.data, "test")
    inputs = next(batches)["inputs"]["image"][:8]
    batches.close()
    together = np.asarray(forward(variables, inputs))
    others = np.concatenate([inputs[:1], np.full_like(inputs[1:], 1e3)])
    alone = np.concatenate([forward(variables, inputs[i : i + 1]) for i in range(8)])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(forward(variables, jnp.asarray(others))[0], together[0])


# Which class is taken for which


def test_the_confusion_matrix_counts_each_example_where_it_belongs(run):
    programs = programs_of("--config.data.eval_batch_size=16")
    variables = trained(run, programs).evaluated
    sums = evaluate(programs, variables, "test", StopFlag(), Watchdog(None)).sums
    expected = np.zeros((10, 10))
    for batch in pipeline.eval_batches(programs.problem.data, "test"):
        answers = np.argmax(programs.logits(variables, batch["inputs"], batch["masks"]), axis=1)
        np.add.at(expected, (batch["labels"], answers), batch["weights"])
    np.testing.assert_array_equal(sums["confusion"], expected)
    assert sums["accuracy"] == np.trace(expected)


def test_it_draws_the_confusion_matrix_of_each_split_beside_the_curves(run, launcher, tmp_path):
    copy_of(run, tmp_path / "run")
    plots = tmp_path / "run" / "plots"
    command = launcher.start("experiments.evaluate", "--workdir", tmp_path / "run")
    assert command.wait() == 0, command.stderr
    assert command.stdout.endswith(f"\n{plots}/confusion_test.png\n")
    evaluated(launcher, tmp_path / "run", "--split", "validation")
    pictures = sorted(file.name for file in plots.iterdir())
    assert pictures == ["confusion_test.png", "confusion_validation.png"]
    test, validation = (cv2.imread(str(plots / name)) for name in pictures)
    assert test.shape != validation.shape or (test != validation).any()


def test_where_no_picture_can_be_written_the_metrics_are_reported_all_the_same(run, launcher, tmp_path):
    copy_of(run, tmp_path / "run")
    (tmp_path / "run" / "plots").write_text("a file")
    command = launcher.start("experiments.evaluate", "--workdir", tmp_path / "run", "--json")
    assert command.wait() == 0, command.stderr
    assert "mean_class_accuracy" in json.loads(command.stdout)
    assert command.stderr.startswith("error[6] confusion_test.png not written: ")


def test_an_output_that_is_no_number_is_an_error_of_numbers(run, monkeypatch):
    """Metrics would count it as wrong, or not at all."""
    normalize = Image.normalize

    def first_missing(self, features):
        inputs = normalize(self, features)
        inputs[:1] = np.nan
        return inputs

    monkeypatch.setattr(Image, "normalize", first_missing)
    with pytest.raises(Failure) as failure:
        load(run).evaluate("test")
    assert failure.value.code == Code.NUMERICS
    assert str(failure.value) == f"error[5] the model's output is not a number: {run}, step 8, split test"


# Class by class


def test_the_table_has_the_accuracy_of_each_class(run, launcher, tmp_path):
    copy_of(run, tmp_path / "run")
    found = evaluated(launcher, tmp_path / "run")
    lines = (tmp_path / "run" / "per_class_test.csv").read_text().splitlines()
    assert lines[0] == "class,examples,accuracy"
    names, examples, accuracies = zip(*(line.split(",") for line in lines[1:]), strict=True)
    assert "".join(names) == "0123456789"
    assert sum(map(int, examples)) == 450
    assert np.mean(np.array(accuracies, float)) == pytest.approx(found["mean_class_accuracy"], rel=1e-9)


TAGGED = "--config.task={'kind': 'multi_label'}"


def test_of_many_labels_the_precision_of_each_class_is_a_table_and_a_picture(launcher, tmp_path):
    few = [TAGGED, "--config.data.validation_examples=6", "--config.train.duration=1 steps"]
    run = tmp_path / "run"
    result = launcher.finish(run, *SETTINGS, *few)
    command = launcher.start("experiments.evaluate", "--workdir", run, "--split", "validation")
    assert command.wait() == 0, command.stderr
    assert command.stdout.endswith(f"\n{run}/per_class_validation.csv\n{run}/plots/per_class_validation.png\n")
    with open(run / "per_class_validation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list("0123456789")
    assert sum(int(row["examples"]) for row in rows) == 6
    there = [row for row in rows if row["examples"] != "0"]
    absent = [row for row in rows if row["examples"] == "0"]
    assert 0 < len(there) < 10
    assert all(row["average_precision"] == row["auc"] == "" for row in absent)
    said = result["metrics"]["validation"]
    mean = np.mean([float(row["average_precision"]) for row in there])
    assert said["mean_average_precision"] == pytest.approx(mean, rel=1e-9)
    assert said["classes_with_examples"] == len(there)
    note = f"note: {len(absent)} of 10 classes have no example in split validation, and no part in means over classes: "
    assert command.stderr.startswith(note + absent[0]["class"])
    assert cv2.imread(str(run / "plots" / "per_class_validation.png")) is not None


# Votes


def voted(path, votes, *settings):
    """The voted accuracy of the test split, of settings other than the run's."""
    programs = programs_of(*settings)
    found = vote(programs, trained(path, programs).evaluated, "test", votes, StopFlag())
    return programs.problem.task.finish(found)["accuracy"]


def test_votes_are_the_same_whatever_the_batch_size(run):
    assert {voted(run, 3, f"--config.data.eval_batch_size={size}") for size in (16, 128)} == {voted(run, 3)}


def test_votes_are_of_the_mean_probabilities_under_the_changes_of_training(run):
    programs, problem = programs_of(), programs_of().problem
    variables = trained(run, programs).evaluated
    views = list(pipeline.vote_batches(problem.data, "test", problem.config.seed, 3))
    scores = [problem.task.scores(programs.logits(variables, view["inputs"], view["masks"])) for view in views]
    mean = np.mean(scores, axis=0)
    assert len({np.argmax(one, axis=1).tobytes() for one in scores}) == 3
    assert voted(run, 3) == pytest.approx(np.mean(np.argmax(mean, axis=1) == views[0]["labels"]))


def test_votes_on_what_nothing_changes_are_the_plain_answers(run):
    assert voted(run, 2, "--config.augment={'kind': 'none'}") == numbers(run, 450)["accuracy"]


def test_votes_are_reported_beside_the_plain_metrics_under_names_of_their_own(run, launcher):
    plain, found = evaluated(launcher, run), evaluated(launcher, run, "--votes", "2")
    assert {name: found[name] for name in plain} == plain
    assert set(found) - set(plain) == {"votes", "voted_accuracy"}
    assert found["votes"] == 2
    assert 0 < found["voted_accuracy"] < 1


def test_of_many_labels_the_mean_probability_of_the_votes_ranks(run):
    """In batches of which the last is a part."""
    problem = problem_of(*SETTINGS, TAGGED, "--config.data.eval_batch_size=200")
    programs = Programs(problem)
    variables = trained(run, programs).evaluated
    found = problem.task.finish(vote(programs, variables, "test", 3, StopFlag()))
    batches = list(pipeline.vote_batches(problem.data, "test", problem.config.seed, 3))
    views = [joined(batches[view::3]) for view in range(3)]
    labels = views[0]["labels"][:450]
    logits = [programs.logits(variables, {"image": view["inputs/image"][:450]}, {}) for view in views]
    each = [np.asarray(problem.task.scores(one), np.float64) for one in logits]
    mean = np.mean(each, axis=0)
    assert found["mean_average_precision"] == pytest.approx(average_precision_score(labels, mean), rel=1e-4)
    assert found["mean_auc"] == pytest.approx(roc_auc_score(labels, mean), rel=1e-4)
    assert abs(average_precision_score(labels, each[0]) / found["mean_average_precision"] - 1) > 1e-3
