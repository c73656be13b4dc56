"""What the docs show is true: their Python is executed, in a fresh environment with nothing but the wheel."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def blocks(page):
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def finish(command, **options):
    """What a command prints that ends well."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(once):
    """The project's wheel."""

    def make(path):
        source = path / "source"
        for name in ("perceiver_jax", "configs"):
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("setup.py", "pyproject.toml", "LICENSE", "README.md"):
            shutil.copy(ROOT / name, source)
        finish([sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", path, source])

    return next(once("wheel", make).glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, once):
    """The Python of an environment that was empty before the wheel was installed into it."""

    def make(path):
        uv = [sys.executable, "-m", "uv"]
        finish([*uv, "venv", "--quiet", "--python", sys.executable, path])
        versions = path / "versions.txt"
        # The same versions as here, so that one run tests one set of them.
        versions.write_text(finish([*uv, "pip", "freeze", "--quiet", "--python", sys.executable]))
        finish([*uv, "pip", "install", "--quiet", "--python", path, "--constraint", versions, wheel])

    return once("installed", make) / "bin" / "python"


def test_the_wheel_holds_the_package_and_the_configs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"perceiver_jax", wheel.name.rpartition("-py3")[0] + ".dist-info"}
    assert {"perceiver_jax/configs/imagenet.py", "perceiver_jax/model/perceiver.py"} <= set(names)


def test_the_pages_for_python_run_where_only_the_wheel_is_installed(installed, launcher, tmp_path):
    launcher.finish(tmp_path / "runs/a", "--tiny")
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((8, 8), 90 if name == "a" else 200, np.uint8))
    # The digits are in a package that the wheel does not ask for: the run is evaluated on them where they are there.
    code = "".join(blocks("docs/python.md")).replace('print(run.evaluate("test"))', "")
    (tmp_path / "page.py").write_text(code)
    printed = finish([installed, "page.py"], cwd=tmp_path)
    assert "44912254" in printed
    assert "('0', '1'" in printed


def test_what_adding_shows_trains_to_the_end(tmp_path):
    for name in ("perceiver_jax", "configs", "experiments"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for block in blocks("docs/adding.md"):
        path = tmp_path / block.splitlines()[0].removeprefix("# ")
        assert not path.exists(), "an example must not take a name that is in use"
        path.write_text(block)
    command = ["-m", "experiments.train", "--config", "configs/waves.py", "--workdir", "runs/waves"]
    printed = finish([sys.executable, *command], cwd=tmp_path)
    accuracy = float(re.search(r"Perceiver \(this run\) +([\d.]+) %", printed)[1])
    assert accuracy > 90
