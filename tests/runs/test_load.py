"""A run opened from Python says what the commands print, of one stream and of two."""

import json
import shutil
import tracemalloc

import cv2
import numpy as np
import pytest

from perceiver_jax.data.examples import Split
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs.evaluate import evaluate
from perceiver_jax.runs.load import load, read_file
from perceiver_jax.runs.problem import dump
from perceiver_jax.runs.problem import load as problem_from
from perceiver_jax.runs.programs import Programs
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.system.watchdog import Watchdog
from tests.launch import SMALL
from tests.runs import folder

SETTINGS = [*SMALL, "--config.train.duration=4 steps", "--config.optim.learning_rate=0.1"]
TWO_STREAMS = """
from configs import digits, mnist5k_points


def get_config():
    config, points = digits.get_config(), mnist5k_points.get_config()
    config.data = dict(points.data, kind="mnist5k_image_points", grid=(40,), num_workers=0)
    config.augment = dict(image=dict(kind="none"), points=points.augment)
    bands = dict(kind="fourier", num_bands=2)
    config.model.positions = dict(
        image=dict(bands, max_resolution=(28.0, 28.0)), points=dict(bands, max_resolution=(28.0, 28.0, 2.0))
    )
    config.model.modality_vectors = dict(channels=4, init_scale=0.02)
    return config
"""
OF_BOTH = [s for s in SETTINGS if "positions" not in s and "eval_batch" not in s]


def printed(launcher, module, run, *arguments):
    """What a command prints that ends well."""
    command = launcher.start(module, "--workdir", run, *arguments)
    assert command.wait() == 0, command.stderr
    return command.stdout


def answers(launcher, run, *files):
    """The classes and probabilities that the command prints of each file."""
    lines = printed(launcher, "scripts.predict", run, "--json", *files).splitlines()
    return [[(one["class"], one["probability"]) for one in json.loads(line)["classes"]] for line in lines]


@pytest.fixture(scope="module")
def run(launcher, once):
    """The workdir of a finished run on digits, with pictures of three test examples in it."""

    def make(path):
        launcher.finish(path, *SETTINGS)
        source = load(path).problem.data.source.load("test")
        for i in range(3):
            cv2.imwrite(str(path / f"{i}.png"), source[i].inputs["image"])

    return once("loaded", make)


@pytest.fixture(scope="module")
def files(run):
    """The pictures."""
    return [run / f"{i}.png" for i in range(3)]


# One stream


def test_predictions_are_those_that_the_command_prints(run, files, launcher):
    found = list(load(run).predict(files))
    assert found == answers(launcher, run, *files)
    assert len({answer[0] for answer in found}) == 3


def test_a_single_file_an_array_and_a_mapping_are_the_same_example(run, files):
    opened = load(run)
    example = opened.problem.data.source.load("test")[0]
    forms = [files[0], str(files[0]), example.inputs["image"], {"image": files[0]}, example.inputs]
    found = [list(opened.predict(form)) for form in forms]
    assert all(one == found[0] for one in found)
    assert len(found[0]) == 1


def test_embeddings_are_the_means_of_the_latents(run, files):
    opened = load(run)
    batch = opened.problem.data.example("test", 1)
    latents = opened.programs.latents(opened.variables, *batch)
    found = opened.embed(files)
    assert found.shape == (3, 8)
    np.testing.assert_array_equal(found[1], np.asarray(latents[0]).mean(axis=0))


def test_attention_maps_are_those_that_the_command_draws(run, files, launcher, tmp_path):
    printed(launcher, "scripts.attention_maps", run, "--output", tmp_path, files[2])
    opened = load(run)
    maps, (inputs, _) = opened.attention_maps(files[2]), opened.inputs_of(files[2])
    assert [{name: one.shape for name, one in each.items()} for each in maps] == [{"image": (4, 64)}]
    titled = [("cross-attend 1", maps[0]["image"])]
    opened.problem.modalities["image"].draw_maps(inputs["image"][0], titled, tmp_path / "own.png", None, False)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "own.png")), cv2.imread(str(tmp_path / "2.png")))


def test_reading_a_file_takes_no_more_than_it_has(tmp_path):
    (tmp_path / "a").write_bytes(bytes(3_000_000))
    tracemalloc.start()
    data = read_file(tmp_path / "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) == 3_000_000
    assert peak < 20_000_000


def test_an_evaluation_is_what_the_command_prints(run, launcher):
    reported = json.loads(printed(launcher, "experiments.evaluate", run, "--json"))
    assert {"step": 4, "split": "test", **load(run).evaluate()} == reported


def test_an_older_step_is_opened_as_it_was(run, launcher, tmp_path):
    settings = [*SETTINGS, "--config.train.checkpoint_every=2 steps", "--config.train.eval_every=2 steps"]
    launcher.finish(tmp_path / "run", *settings)
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    (said,) = [record for record in records if (record["step"], record["split"]) == (2, "test")]
    opened = load(tmp_path / "run", step=2)
    assert {"step": opened.step, "split": "test", **opened.evaluate()} == said


@pytest.mark.parametrize(
    ("ask", "code", "words"),
    [
        (lambda run: load(run, step=3), Code.CHECKPOINT, "no checkpoint at "),
        (lambda run: load(run / "nowhere"), Code.CHECKPOINT, "no run at "),
        (lambda run: load(run).embed(["nowhere.png"]), Code.DATA, "nowhere.png: does not exist"),
        (lambda run: load(run).scores({"picture": "0.png"}), Code.CONFIG, "streams of an example"),
        (lambda run: load(run).evaluate("validation"), Code.CONFIG, "data set digits has no split 'validation'"),
        (lambda run: load(run).evaluate(streams=["sound"]), Code.CONFIG, "stream sound not found"),
        (lambda run: load(run).at("elsewhere"), Code.CONFIG, "--data_dir: data set digits is not in a directory"),
    ],
)
def test_what_is_not_there_is_reported(ask, code, words, run):
    with pytest.raises(Failure) as caught:
        ask(run)
    assert caught.value.code == code
    assert caught.value.what.startswith(words)


# Two streams


@pytest.fixture(scope="module")
def both(launcher, once):
    """The workdir of a finished run on pictures and clouds, in it a test example as files: a.png and b.npy."""

    def make(path):
        path.mkdir()
        (path / "two_streams.py").write_text(TWO_STREAMS)
        launcher.finish(path / "run", *OF_BOTH, config=path / "two_streams.py")
        inputs = load(path / "run").problem.data.source.load("test")[0].inputs
        cv2.imwrite(str(path / "a.png"), inputs["image"])
        np.save(path / "b.npy", inputs["points"][:40])  # those that evaluation sees

    return once("two_streams", make)


def test_of_two_streams_files_and_arrays_are_the_same_example(both):
    opened = load(both / "run")
    of_arrays = opened.scores(opened.problem.data.source.load("test")[0].inputs)
    of_files = opened.scores({"image": both / "a.png", "points": both / "b.npy"})
    np.testing.assert_allclose(of_files, of_arrays, rtol=1e-5)
    assert np.ptp(of_arrays) > 0


def test_two_files_joined_by_a_comma_are_predicted_as_one_example(both, launcher):
    (found,) = load(both / "run").predict({"image": both / "a.png", "points": both / "b.npy"})
    assert [found] == answers(launcher, both / "run", f"{both}/a.png,{both}/b.npy")


def test_one_file_for_two_streams_is_reported(both, launcher):
    command = launcher.start("scripts.predict", "--workdir", both / "run", both / "a.png")
    assert command.wait() == Code.CONFIG
    reported = f"error[2] {both}/a.png: 1 files\n  expected: image,points: one of each, joined by commas\n"
    assert command.stderr == reported


def test_each_stream_has_a_map_and_a_picture_of_its_own(both, launcher, tmp_path):
    printed(launcher, "scripts.attention_maps", both / "run", "--output", tmp_path, "--examples=0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_0_image.png", "test_0_points.png"]
    (maps,) = load(both / "run").attention_maps({"image": both / "a.png", "points": both / "b.npy"})
    assert {name: one.shape for name, one in maps.items()} == {"image": (4, 784), "points": (4, 40)}


def test_an_evaluation_with_one_stream_is_reported_as_such_and_differs(both, launcher):
    whole, part = (
        json.loads(printed(launcher, "experiments.evaluate", both / "run", "--json", *flags))
        for flags in ((), ("--streams", "image"))
    )
    assert part["streams"] == "image"
    assert part["loss"] != whole["loss"]
    assert (both / "run/plots/confusion_test_image.png").exists()
    opened = load(both / "run")
    assert opened.evaluate(streams=["image"]) == {name: part[name] for name in opened.evaluate()}


def test_without_a_stream_its_inputs_are_zeros(both):
    opened = load(both / "run")
    split = Split(opened.problem.data, "test")
    inputs = split.batch([split.evaluation(0, 0, ["points"])], 1)["inputs"]
    assert not inputs["points"].any()
    assert inputs["image"].any()


# Several views of an example


@pytest.fixture(scope="module")
def pictures(launcher, once):
    """The workdir of a run on photographs that are cropped, with its data where it starts."""
    return once("moved_data", lambda path: folder.make(launcher, path))


@pytest.fixture(scope="module")
def clouds(launcher, once):
    """The workdir of a finished run on digits as clouds of 40 of their 512 points."""
    settings = [*SETTINGS, "--config.data.grid=(40,)", "--config.data.eval_batch_size=250"]
    return once("views_of_clouds", lambda path: launcher.finish(path, *settings, config="configs/mnist5k_points.py"))


@pytest.fixture(params=["clouds", "photographs"])
def opened(request, clouds, pictures, monkeypatch):
    """A run whose examples can be looked at in several ways."""
    if request.param == "clouds":
        return load(clouds)
    monkeypatch.chdir(pictures)
    return load(pictures / "run")


def by_views(opened, count):
    """The metrics of a run's test split from several views of each example."""
    problem, config = opened.problem, opened.problem.config
    views = config.views.model_copy(update={"num_evaluation": count})
    programs = Programs(problem_from(config.model_copy(update={"views": views}), dump(problem)))
    return problem.task.finish(evaluate(programs, opened.variables, "test", StopFlag(), Watchdog(None)))


def test_two_views_give_the_metrics_of_the_mean_of_their_scores(opened):
    split = Split(opened.problem.data, "test")
    batches = [split.batch([split.evaluation(i, view) for i in range(len(split))], len(split)) for view in (0, 1)]
    logits = [opened.programs.logits(opened.variables, batch["inputs"], batch["masks"]) for batch in batches]
    each = [np.asarray(opened.problem.task.scores(one), np.float64) for one in logits]
    assert np.abs(each[0] - each[1]).max() > 1e-4
    labels, scores = batches[0]["labels"], np.mean(each, axis=0)
    found = by_views(opened, 2)
    assert found["accuracy"] == pytest.approx(np.mean(np.argmax(scores, axis=1) == labels))
    losses = -np.log(np.take_along_axis(scores, labels[:, None], axis=1))
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-5)


def test_one_view_is_the_evaluation_that_training_logged(opened):
    said = json.loads(opened.workdir.result.read_text())["metrics"]["test"]
    assert by_views(opened, 1) == said


def test_the_number_of_views_may_change_between_launches_and_is_used_by_every_command(clouds, launcher, tmp_path):
    run = shutil.copytree(clouds, tmp_path / "run")
    settings = [*SETTINGS, "--config.data.grid=(40,)", "--config.data.eval_batch_size=250"]
    again = launcher.train(run, *settings, "--config.views.num_evaluation=2", config="configs/mnist5k_points.py")
    assert again.wait() == 0, again.stderr
    reported = json.loads(printed(launcher, "experiments.evaluate", run, "--json"))
    assert {"step": 4, "split": "test", **by_views(load(clouds), 2)} == reported
