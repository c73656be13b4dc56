"""Configs of users' own folders, from the command line: a run names the folder's classes and predicts a file of it."""

import json

import cv2
import numpy as np
import pytest

CLASSES = ("high", "low")


def write_pictures(folder):
    """Bright and dark pictures, of as many sizes; the path of one."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(10):
            picture = rng.integers(0, 100, (20 + i, 30 - i, 3)) + 150 * (name == "high")
            cv2.imwrite(str(folder / name / f"{i}.png"), picture)
    return folder / "low/0.png"


def write_clouds(folder):
    """Tall and flat boxes of points; the path of one."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 4)):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                points = rng.uniform(-1, 1, (600, 3)) * [1, 1, 3 if name == "high" else 0.3]
                np.save(folder / split / name / f"{i}.npy", points.astype(np.float32))
    return folder / "test/low/0.npy"


@pytest.mark.parametrize(("config", "write"), [("image_folder", write_pictures), ("point_folder", write_clouds)])
def test_a_folder_trains_and_a_file_of_it_gets_one_of_its_classes(config, write, launcher, tmp_path):
    file = write(tmp_path / "mine")
    settings = [f"--config.data.data_dir={tmp_path / 'mine'}", "--config.train.duration=2 steps"]
    result = launcher.finish(tmp_path / "run", "--tiny", *settings, config=f"configs/{config}.py")
    assert {"accuracy", "mean_class_accuracy"} <= result["metrics"]["test"].keys()
    command = launcher.start("scripts.predict", "--workdir", tmp_path / "run", "--json", file)
    assert command.wait() == 0, command.stderr
    assert {one["class"] for one in json.loads(command.stdout)["classes"]} == set(CLASSES)
