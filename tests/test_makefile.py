"""The two commands for a fresh machine run what they say, and report an unknown modality."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def dry_run(*arguments):
    """The exit code and what would be run."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "config", "workdir"),
    [
        ((), "configs/mnist5k.py:quickstart", "runs/quickstart"),
        (("MODALITY=images",), "configs/mnist5k.py:quickstart", "runs/quickstart"),
        (("MODALITY=points",), "configs/mnist5k_points.py", "runs/quickstart_points"),
        (("MODALITY=audio",), "configs/notes.py", "runs/quickstart_audio"),
        (("MODALITY=audio_video",), "configs/notes_and_digits.py", "runs/quickstart_audio_video"),
    ],
)
def test_each_modality_has_a_first_run(arguments, config, workdir):
    code, reported = dry_run("quickstart", *arguments)
    assert code == 0
    assert reported.splitlines()[-1].endswith(f"python -m experiments.train --config {config} --workdir {workdir}")
    assert (ROOT / config.partition(":")[0]).is_file()


@pytest.mark.parametrize("name", ["smells", ""])
def test_an_unknown_modality_is_reported(name):
    code, reported = dry_run("quickstart", f"MODALITY={name}")
    assert code != 0
    assert f"MODALITY={name}: expected images, points, audio or audio_video" in reported


def test_the_site_fails_on_a_warning():
    code, reported = dry_run("docs")
    assert code == 0
    assert reported.splitlines()[-1].startswith(".venv-docs/bin/python -m sphinx --fail-on-warning ")
