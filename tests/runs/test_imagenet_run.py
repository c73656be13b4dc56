"""From ImageNet's archives to attention maps, by the commands alone, on archives of a few pictures."""

import json

import cv2
import pytest

from tests.data.preparation.archives import encoded, photograph, write_archives


@pytest.fixture(scope="module")
def run(launcher, once, tmp_path_factory):
    """The workdir of a tiny run of configs/imagenet.py on a subset that was prepared from archives."""

    def make(path):
        source, data_dir = write_archives(path / "source"), path / "data"
        prepared = ["--source", source, "--data_dir", data_dir, "--allow_partial", "--num_workers=1"]
        finish(launcher, "scripts.prepare_imagenet", *prepared)
        settings = [f"--config.data.data_dir={data_dir}", "--config.train.duration=3 steps"]
        config = ["--config", "configs/imagenet.py:table6_at_start_2", "--tiny", *settings]
        finish(launcher, "experiments.train", *config, "--workdir", path / "run")

    return once("imagenet_run", make) / "run"


def finish(launcher, module, *arguments):
    """What a command prints that ends well."""
    command = launcher.start(module, *map(str, arguments))
    assert command.wait() == 0, command.stderr
    return command.stdout


def test_the_run_saw_the_validation_pictures_as_its_test_split(run):
    result = json.loads((run / "result.json").read_text())
    assert set(result["metrics"]) == {"train", "test"}
    assert {"accuracy", "top5", "loss"} <= set(result["metrics"]["test"])
    assert (run / "plots" / "attention_maps.png").exists()


def test_an_evaluation_repeats_what_training_said(run, launcher):
    said = json.loads((run / "result.json").read_text())["metrics"]["test"]
    printed = json.loads(finish(launcher, "experiments.evaluate", "--workdir", run, "--json"))
    assert {name: printed[name] for name in said} == said


def test_maps_of_any_photograph_can_be_drawn(run, launcher, tmp_path):
    (tmp_path / "mine.jpg").write_bytes(encoded(photograph(500)))
    finish(launcher, "scripts.attention_maps", "--workdir", run, "--output", tmp_path / "maps", tmp_path / "mine.jpg")
    assert cv2.imread(str(tmp_path / "maps" / "mine.png")) is not None
