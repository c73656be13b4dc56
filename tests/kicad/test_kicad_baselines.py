"""The command that gives simple models KiCad's parts: what it prints, and what their features know."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from perceiver_jax import command
from tests.door import fresh_flags

ROOT = Path(__file__).parents[2]
SIDES = {"Cube": (1, 1, 1), "Plate": (5, 5, 0.1), "Rod": (9, 0.2, 0.2)}


@pytest.fixture
def script():
    """What the command's file defines."""
    with fresh_flags():
        yield runpy.run_path(f"{ROOT}/scripts/kicad/baselines.py")


@pytest.fixture
def launch(script, monkeypatch, capsys):
    """Runs the command with few trees: its exit code, stdout and stderr."""

    def launch(*arguments):
        monkeypatch.setitem(script["main"].__globals__, "NUM_TREES", 5)
        monkeypatch.setattr(sys, "argv", ["baselines", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            command.run(script["main"])
        return end.value.code, *capsys.readouterr()

    return launch


def cloud(seed, sides=(3, 2, 1)):
    return (np.random.default_rng(seed).uniform(-1, 1, (600, 3)) * sides).astype(np.float32)


def write(folder, counts):
    """Class folders of clouds, by split and class."""
    for split, classes in counts.items():
        for label, count in classes.items():
            (folder / split / label).mkdir(parents=True)
            for i in range(count):
                np.save(folder / split / label / f"{split}{i}.npy", cloud(i, SIDES[label]))


def test_every_model_has_a_row_with_its_accuracy(launch, tmp_path):
    write(tmp_path, {"train": {"Cube": 4, "Plate": 5, "Rod": 4}, "test": {"Cube": 1, "Plate": 2, "Rod": 2}})
    code, out, _ = launch("--data_dir", tmp_path)
    rows = [line.split("  ")[0] for line in out.splitlines()]
    assert code == 0
    assert rows == [
        "model",
        "-" * len("random forest, 5 trees, split at random"),
        "random forest, 5 trees",
        "nearest neighbour",
        "random forest, 5 trees, without size",
        "the largest class",
        "random forest, 5 trees, split at random",
    ]
    accuracies = [line.split("  ")[-1].strip() for line in out.splitlines()[2:]]
    every = "100.0 % (100.0, 100.0, 100.0)"
    assert accuracies[:4] == [every, "100.0 %", every, "40.0 %"]


@pytest.mark.parametrize(("arguments", "expected"), [([], 512), (["--num_points=600"], 600)], ids=["config", "flag"])
def test_as_many_points_count_as_the_config_or_a_flag_says(arguments, expected, launch, script, tmp_path, monkeypatch):
    features, seen = script["features"], set()

    def spy(points):
        seen.add(len(points))
        return features(points)

    monkeypatch.setitem(script["main"].__globals__, "features", spy)
    write(tmp_path, {"train": {"Cube": 2, "Rod": 2}, "test": {"Cube": 1}})
    assert launch("--data_dir", tmp_path, *arguments)[0] == 0
    assert seen == {expected}


def test_the_order_of_points_is_not_known(script):
    points = cloud(0)
    for one, other in zip(script["features"](points), script["features"](points[::-1]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_scaled_clouds_differ_in_size_alone(script):
    (shape, size), (other, larger) = script["features"](cloud(0)), script["features"](4 * cloud(0))
    np.testing.assert_allclose(other, shape, rtol=1e-12)
    np.testing.assert_allclose(larger[:3], 4 * size[:3])
    assert (larger[3:] != size[3:]).any()
    assert size[3:].sum() == pytest.approx(1)


def test_what_is_missing_is_reported(launch, tmp_path, monkeypatch):
    assert launch() == (2, "", "error[2] --data_dir is missing\n")
    code, _, err = launch(f"--data_dir={tmp_path / 'nowhere'}")
    assert (code, err.splitlines()[0]) == (3, f"error[3] data.data_dir is not a directory: {tmp_path / 'nowhere'}")
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)  # as if it were not installed
    reported = "error[3] the baselines need the package scikit-learn\n  try: pip install -e .[examples]\n"
    assert launch(f"--data_dir={tmp_path / 'nowhere'}") == (3, "", reported)
