"""What may be changed between the launches of a run, and what not; tests/test_faults.py stops and resumes it."""

import json
import os
import shutil
import subprocess
import sys

from perceiver_jax.errors import Code
from scripts.faults.tiny import STEPS, TINY


def state_sha256(path):
    return json.loads((path / "result.json").read_text())["state_sha256"]


def test_a_run_does_not_go_on_with_another_batch_size(launcher, undisturbed, tmp_path):
    path = shutil.copytree(undisturbed, tmp_path / "run")
    (path / "result.json").unlink()  # it has not noticed its end
    run = launcher.train(path, *TINY, "--config.data.batch_size=16")
    assert run.wait() == Code.CONFIG
    lines = [f"error[2] workdir {path} holds a run with other settings", "  found: data.batch_size 8 -> 16"]
    assert run.stderr.splitlines() == [*lines, "  try: a new --workdir"]


def test_workers_hash_seed_directory_and_a_cold_cache_change_nothing(undisturbed, tmp_path):
    """All at once, in a process that shares nothing with the undisturbed run's."""
    root = os.getcwd()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"PYTHONPATH": root, "PYTHONHASHSEED": "7", "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    environment |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "experiments.train", "--config", f"{root}/configs/digits.py", "--workdir", "a/run"]
    changes = ["--config.data.num_workers=1", "--config.data.prefetch_batches=1", "--config.data.eval_batch_size=64"]
    changes += [f"--config.train.eval_every={STEPS} steps"]  # each evaluation restarts the workers: seconds
    settings = [setting for setting in TINY if "eval_" not in setting]
    run = subprocess.run([*command, *settings, *changes], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert state_sha256(tmp_path / "a" / "run") == state_sha256(undisturbed)
