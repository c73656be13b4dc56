"""From ModelNet40's releases to attention maps, by the commands alone, on releases of a few shapes."""

import json

import cv2
import numpy as np
import pytest

from configs import modelnet40
from perceiver_jax.data import pipeline
from perceiver_jax.runs.problem import resolve
from perceiver_jax.settings.config import parse
from tests.data.preparation import shapes
from tests.problems import take

OTHERS = {"text": shapes.write_resampled, "hdf5": shapes.write_hdf5}  # those of meshes are `run`'s
PREPARED = ("--allow_partial", "--num_workers=1", "--num_points=64")


@pytest.fixture(scope="module")
def run(launcher, once):
    """The workdir of a tiny run of configs/modelnet40.py, beside it the data it was trained on and a mesh."""

    def make(path):
        prepare(launcher, shapes.write_zip(path / "source"), path / "data")
        settings = [
            f"--config.data.data_dir={path / 'data'}",
            "--config.data.validation_examples=2",
            "--config.data.batch_size=4",
        ]
        config = ["--config", "configs/modelnet40.py", "--tiny", *settings]
        finish(launcher, "experiments.train", *config, "--workdir", path / "run")
        (path / "mine.off").write_bytes(shapes.off(shapes.shape("chair", 99)))

    return once("modelnet40_run", make) / "run"


def finish(launcher, module, *arguments):
    """What a command prints that ends well."""
    command = launcher.start(module, *map(str, arguments))
    assert command.wait() == 0, command.stderr
    return command.stdout


def prepare(launcher, source, data_dir):
    """Prepares a release as clouds of 64 points."""
    finish(launcher, "scripts.prepare_modelnet40", "--source", source, "--data_dir", data_dir, *PREPARED)


def test_the_end_distinguishes_the_final_step_from_the_best_ones(run):
    result = json.loads((run / "result.json").read_text())
    assert set(result["metrics"]) == {"train", "validation", "test"}
    assert {"accuracy", "mean_class_accuracy"} <= set(result["metrics"]["test"])
    assert {"step", "validation", "test"} == set(result["best_by_validation"]) == set(result["best_by_test"])


def test_an_evaluation_repeats_what_training_said_and_votes_under_another_name(run, launcher):
    said = json.loads((run / "result.json").read_text())["metrics"]["test"]
    printed = json.loads(finish(launcher, "experiments.evaluate", "--workdir", run, "--json", "--votes=2"))
    assert {name: printed[name] for name in said} == said
    assert 0 <= printed["voted_accuracy"] <= 1
    assert cv2.imread(str(run / "plots/confusion_test.png")) is not None


def test_a_mesh_of_ones_own_gets_a_class(run, launcher):
    printed = finish(launcher, "scripts.predict", "--workdir", run, "--json", "--top=40", run.parent / "mine.off")
    classes = json.loads(printed)["classes"]
    assert len({answer["class"] for answer in classes}) == 40
    assert sum(answer["probability"] for answer in classes) == pytest.approx(1)


def test_maps_of_a_mesh_can_be_drawn(run, launcher, tmp_path):
    finish(launcher, "scripts.attention_maps", "--workdir", run, "--output", tmp_path, run.parent / "mine.off")
    assert cv2.imread(str(tmp_path / "mine.png")) is not None


@pytest.mark.parametrize("release", OTHERS)
def test_the_other_releases_are_read_too(release, launcher, tmp_path):
    prepare(launcher, OTHERS[release](tmp_path / "source"), tmp_path / "data")
    config = modelnet40.get_config("perceiver")
    config.data.update(data_dir=str(tmp_path / "data"), validation_examples=0, batch_size=4)
    config.train.eval_splits = ("test",)
    problem = resolve(parse(config, shrink=True))
    (batch,) = take(pipeline.train_batches(problem.data, 0, 0), 1)
    assert batch["inputs"]["points"].shape == (4, 32, 3)
    assert np.isfinite(batch["inputs"]["points"]).all()
