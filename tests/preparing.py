"""How tests run the commands that prepare data sets, and compare what they write."""

import hashlib
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.door import fresh_flags

ROOT = Path(__file__).parents[1]
# More shards than data sets this small have, so that a run can be ended in its middle.
_SCRIPT = """
import os, resource, runpy, signal
if "LARGEST_FILE" in os.environ:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LARGEST_FILE"]),) * 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if __name__ == "__main__":
    from perceiver_jax.data.preparation import {name} as data_set
    data_set.SHARDS = {shards}
    runpy.run_module("scripts.prepare_{command}", run_name="__main__", alter_sys=True)
"""


def launch(command, words, monkeypatch, capsys):
    """Runs `prepare_COMMAND` in this process: its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["prepare", *map(str, words)])
    with fresh_flags(), pytest.raises(SystemExit) as end:
        runpy.run_path(f"{ROOT}/scripts/prepare_{command}.py", run_name="__main__")
    return end.value.code, *capsys.readouterr()


def start(command, data_set, shards, words, tmp_path, **environment):
    """Starts `prepare_COMMAND` in a process of its own, with these shards of the whole data set."""
    script = tmp_path / "run.py"
    if not script.exists():  # another process may be about to read it
        script.write_text(_SCRIPT.format(name=data_set, shards=shards, command=command))
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, script, *words], text=True, env=variables, start_new_session=True, **pipes)


def wait_for_shards(incomplete, count):
    """Waits until so many shards in an unfinished folder have their records."""
    deadline = time.monotonic() + 60
    while len(list((incomplete / "units").glob("[!.]*"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def hashes(folder):
    """The SHA-256 of every file under a folder, by its path."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
