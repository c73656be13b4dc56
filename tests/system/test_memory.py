"""Memory is kept in every thread, unless set otherwise, by a program that restarts as it was called."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from perceiver_jax.system import memory

ROOT = Path(__file__).parents[2]


def test_a_program_that_keeps_memory_restarts_as_it_was_called(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "from perceiver_jax.system import memory\n"
        "memory.settings = lambda: {} if 'ASKED' in os.environ else {'ASKED': 'yes'}\n"
        "print('ASKED' in os.environ, sys.argv[1:])\n"
        "memory.keep()\n"
        "print('on')\n"
    )
    arguments = [sys.executable, "-W", "error", program, "--flag", "a b"]
    reported = subprocess.check_output(arguments, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True)
    assert reported.splitlines() == ["False ['--flag', 'a b']", "True ['--flag', 'a b']", "on"]


FAULTS = """
import resource, threading
def use():
    for i in range(4):
        bytearray(100_000_000)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
faults = []
use()
print(faults[-1] - faults[0])
thread = threading.Thread(target=use)
faults.clear()
thread.start()
thread.join()
print(faults[-1] - faults[0])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_kept_memory_is_not_asked_for_again_in_any_thread(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES")
    kept, given_back = (
        [int(line) for line in subprocess.check_output([sys.executable, "-c", FAULTS], env=os.environ | settings).split()]
        for settings in (memory.settings(), {})
    )
    assert max(kept) < 30 < min(given_back)


def test_memory_is_left_alone_where_somebody_has_set_how_it_is_taken(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    assert memory.settings() == {}


def test_memory_is_left_alone_without_glibc(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert memory.settings() == {}
