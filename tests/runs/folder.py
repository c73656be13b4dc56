"""A folder of a few pictures in two classes beside a run that was trained on it, both found from where commands start."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from tests.launch import SMALL

CONFIG = str(Path(__file__).parents[2] / "configs" / "image_folder.py")
CLASSES, COUNTS = ("high", "low"), {"train": 8, "test": 4}
SETTINGS = [
    *SMALL,
    "--config.data.data_dir=pictures",
    "--config.data.image_size=12",
    "--config.data.max_bad=0",
    "--config.data.num_workers=0",
    "--config.data.eval_batch_size=4",
    "--config.train.duration=4 steps",
    "--config.train.eval_every=4 steps",
    "--config.train.checkpoint_every=2 steps",
]


def write_pictures(folder):
    """Bright and dark pictures, of as many sizes."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                write_picture(folder / split / name / f"{i}.png", rng, name == "high")


def write_picture(path, rng, bright=False):
    """One picture."""
    height, width = rng.integers(16, 32, 2)
    cv2.imwrite(str(path), rng.integers(0, 100, (height, width, 3)) + 150 * bright)


def train(launcher, place, *settings):
    """The run in `place`, at work."""
    return launcher.train("run", *SETTINGS, *settings, config=CONFIG, cwd=place)


def finished(launcher, place, *settings):
    """The hash of the run in `place`, brought to its end."""
    run = train(launcher, place, *settings)
    assert run.wait() == 0, run.stderr
    return json.loads((place / "run" / "result.json").read_text())["state_sha256"]


def make(launcher, place):
    """The pictures and the finished run."""
    write_pictures(place / "pictures")
    shutil.copy(place / "pictures/test/low/0.png", place / "mine.png")
    finished(launcher, place)


def unfinish(place):
    """Takes the run back to step 2; returns the hash of its end."""
    before = json.loads((place / "run" / "result.json").read_text())["state_sha256"]
    (place / "run" / "result.json").unlink()
    shutil.rmtree(place / "run" / "checkpoints" / "4")
    return before


def lasting_files(place):
    """Names and contents of what a run must not lose."""
    files = [path for path in (place / "run").rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: path.read_bytes() for path in files if "plots" not in path.parts}
