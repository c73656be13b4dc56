"""What the docs show is true: their Python is executed, with nothing of the project but the wheel."""

import ast
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from perceiver_jax.errors import STOPPED, Code
from tests import notebooks

KILLED = 137  # the exit code that a shell gives to SIGKILL
AGAIN = {Code.WATCHDOG, KILLED, *STOPPED}  # after which the same command may be started again
ROOT = Path(__file__).parents[1]


def blocks(page):
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def finish(command, path=None, **options):
    """What a command prints that ends well; `path` is where it finds this project."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {} if path is None else {"PYTHONPATH": str(path)}
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
def unpacked(wheel, once):
    """A directory with what the wheel holds."""
    return once("unpacked", lambda path: zipfile.ZipFile(wheel).extractall(path))


def test_the_wheel_holds_the_package_and_the_configs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"perceiver_jax", wheel.name.rpartition("-py3")[0] + ".dist-info"}
    assert {"perceiver_jax/configs/imagenet.py", "perceiver_jax/model/perceiver.py"} <= set(names)


def test_the_wheel_asks_for_every_package_that_it_imports(unpacked):
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    asked = {
        re.split(r"[^\w.-]", line.split(": ")[1])[0] for line in metadata.read_text().splitlines() if "Requires-Dist" in line
    }
    asked = {name.lower().replace("_", "-") for name in asked} | {"jaxlib"}  # JAX brings its own version of it
    owners = importlib.metadata.packages_distributions()
    missing = set()
    for path in unpacked.glob("perceiver_jax/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"perceiver_jax", "configs"}:
                found = {owner.lower().replace("_", "-") for owner in owners[name]}
                missing |= set() if found & asked else {f"{path.name}: {name}"}
    assert missing == set()


def test_the_pages_for_python_run_with_the_wheel_alone(unpacked, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "runs/a")
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((8, 8), 90 if name == "a" else 200, np.uint8))
    (tmp_path / "page.py").write_text("".join(blocks("docs/python.md")) + "\nprint(pj.__file__)\n")
    printed = finish([sys.executable, "page.py"], cwd=tmp_path, path=unpacked)
    assert "44912254" in printed
    assert "('0', '1'" in printed
    assert printed.endswith(f"{unpacked}/perceiver_jax/__init__.py\n")


def test_what_adding_shows_trains_to_the_end(tmp_path, monkeypatch):
    for name in ("perceiver_jax", "configs", "experiments"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    printed = []

    def launch(line):
        printed.append(finish([sys.executable, *shlex.split(line)[1:]], cwd=tmp_path))

    page = ROOT / "docs/adding.md"
    new = re.findall(r"^%%writefile (.+)$", page.read_text(), re.MULTILINE)
    assert not any(Path(name).exists() for name in new), "an example must not take a name that is in use"
    notebooks.execute(page, launch)
    accuracy = float(re.search(r"Perceiver \(this run\) +([\d.]+) %", *printed)[1])
    assert accuracy > 90


@pytest.mark.parametrize("code", [*Code, KILLED])
def test_the_sbatch_file_has_what_may_go_on_requeued_and_no_more(code, tmp_path):
    (script,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/clusters.md").read_text(), re.DOTALL)
    for name, does in {"srun": f"exit {int(code)}", "scontrol": f'echo "$@" > {tmp_path}/asked'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "SLURM_JOB_ID": "7"}
    assert subprocess.run(["bash", "-c", script], env=environment).returncode == code
    asked = tmp_path / "asked"
    assert (asked.read_text() if asked.exists() else "") == ("requeue 7\n" if code in AGAIN else "")
