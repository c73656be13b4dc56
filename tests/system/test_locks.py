"""Locks on directories: one process holds one, others are refused by its name, and it ends with the block or the process."""

import errno
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import locks

HOLD = """
import sys
from pathlib import Path
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import locks
sys.stdin.readline()
try:
    with locks.held(Path(sys.argv[1]), "here", lambda owner: Failure(Code.WORKDIR, owner)):
        print("won", flush=True)
        sys.stdin.readline()
except Failure as failure:
    print(failure.what, flush=True)
"""


def in_use(owner):
    return Failure(Code.WORKDIR, "here", f"in use by {owner}")


@pytest.fixture
def race(tmp_path):
    """Starts processes that ask for one lock at the same time: they, and what each says."""
    started = []

    def race(count):
        for _ in range(count):
            command, pipes = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")], {"stdin": -1, "stdout": -1}
            started.append(subprocess.Popen(command, text=True, **pipes))
        for process in started[-count:]:
            process.stdin.write("\n")
            process.stdin.flush()
        return [(process, process.stdout.readline().strip()) for process in started[-count:]]

    yield race
    for process in started:
        process.kill()
        process.communicate()


def test_of_racing_processes_one_wins_and_the_others_are_reported_by_whom(race):
    ended = race(4)
    (winner,) = [process for process, said in ended if said == "won"]
    others = [said for process, said in ended if process is not winner]
    assert all(re.fullmatch(rf"pid {winner.pid} on \S+ since \d\d:\d\d UTC", said) for said in others)


def test_a_lock_ends_with_its_process(race, tmp_path):
    ((process, said),) = race(1)
    start = time.monotonic()
    with pytest.raises(Failure, match=f"in use by pid {process.pid} on "), locks.held(tmp_path / ".lock", "here", in_use):
        pass
    assert (said, time.monotonic() - start < 1) == ("won", True)
    process.kill()
    process.communicate()
    with locks.held(tmp_path / ".lock", "here", in_use):
        pass


def test_a_lock_ends_with_its_block(race, tmp_path):
    with locks.held(tmp_path / ".lock", "here", in_use):
        assert race(1)[0][1].startswith(f"pid {os.getpid()} on ")
    assert race(1)[0][1] == "won"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": 1}'])
def test_an_owner_without_a_name_is_another_process(tmp_path, monkeypatch, text):
    def refuse(*_):
        raise BlockingIOError(errno.EAGAIN, "busy")

    (tmp_path / ".lock").write_bytes(text)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    monkeypatch.setattr(locks, "NAME_SECONDS", 0)
    with pytest.raises(Failure, match="in use by another process"), locks.held(tmp_path / ".lock", "here", in_use):
        pass


def test_an_owner_that_is_still_writing_is_waited_for_and_the_one_before_it_not_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise BlockingIOError(errno.EAGAIN, "busy")

    def name(pid):
        return json.dumps({"pid": pid, "host": socket.gethostname(), "since": "2020-01-01T00:00:00+00:00"})

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / ".lock").write_text(name(dead.pid))
    monkeypatch.setattr(fcntl, "lockf", refuse)
    writer = threading.Timer(0.3, (tmp_path / ".lock").write_text, [name(os.getpid())])
    writer.start()
    found = rf"in use by pid {os.getpid()} on \S+ since 2020-01-01 00:00 UTC"
    with pytest.raises(Failure, match=found), locks.held(tmp_path / ".lock", "here", in_use):
        pass
    writer.join()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])  # NFS, others, Lustre
def test_a_file_system_without_locks_is_used_with_a_warning(number, tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with locks.held(tmp_path / ".lock", "here", in_use):
        pass
    warning = "no locks on this file system; make sure that only one process uses it"
    assert capsys.readouterr().err == f"warning: here: {warning}\n"
