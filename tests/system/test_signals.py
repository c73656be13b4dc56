"""A run can be asked to stop, and made to."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from perceiver_jax.errors import STOPPED, Code
from perceiver_jax.system.signals import STOPS, StopFlag, enter_worker

CODES = {
    signal.SIGTERM: Code.TERMINATED,
    signal.SIGINT: Code.INTERRUPTED,
    signal.SIGHUP: Code.HUNG_UP,
    signal.SIGUSR1: Code.USER_1,
    signal.SIGUSR2: Code.USER_2,
}
WARNINGS = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


@pytest.fixture(autouse=True)
def _with_a_terminal():
    """The tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


BUSY = """
import hashlib, sys
from perceiver_jax.system.signals import StopFlag
with StopFlag() as flag:
    print("ready", flush=True)
    {work}
    print("never")
"""
# Minutes inside one C call, as in a compilation: Python's own handlers do not run before it ends.
COMPILING = BUSY.format(work="hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)")
DEAF = BUSY.format(work="sys.stdin.read()")


def start(code):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def test_exit_codes_are_128_and_the_number_that_linux_gives_the_signal():
    numbers = {"SIGHUP": 1, "SIGINT": 2, "SIGUSR1": 10, "SIGUSR2": 12, "SIGTERM": 15}
    assert {number.name: int(code) - 128 for number, code in CODES.items()} == numbers
    assert set(STOPS) == set(CODES)
    assert set(CODES.values()) == STOPPED


@pytest.mark.parametrize(("number", "code"), CODES.items())
def test_a_signal_raises_the_flag_at_once(number, code):
    with StopFlag() as flag:
        assert flag.should_stop is None
        os.kill(os.getpid(), number)
        assert flag.should_stop is code


def test_the_first_signal_is_answered_in_one_line(capfd):
    with StopFlag():
        os.kill(os.getpid(), signal.SIGTERM)
    line = "SIGTERM: stopping after this step, then saving; a second signal ends the run at once\n"
    assert capfd.readouterr().err == line


def test_handlers_are_as_before_after_the_block():
    # A shell starts what it puts in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = [signal.getsignal(number) for number in STOPS]
    with pytest.raises(ValueError, match="leaves"), StopFlag():
        raise ValueError("leaves")
    assert [signal.getsignal(number) for number in STOPS] == before
    assert signal.set_wakeup_fd(-1) == -1
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("work", [COMPILING, DEAF], ids=["compiling", "reading"])
@pytest.mark.parametrize(("second", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_ends_the_process_at_once_whatever_it_does(work, second, status):
    process = start(work)
    process.send_signal(signal.SIGTERM)
    assert process.stderr.readline().startswith("SIGTERM: stopping after this step")
    process.send_signal(second)
    assert process.wait(5) == status
    assert process.communicate() == ("", "")


def test_a_closed_stderr_does_not_cost_the_second_signal():
    process = start(COMPILING)
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 143
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize("work", [COMPILING, DEAF], ids=["compiling", "reading"])
def test_after_a_warning_it_takes_two_demands_to_end_at_once(work):
    """A closed terminal sends SIGHUP twice, and Slurm's SIGTERM comes after the SIGUSR1 that warned of it."""
    process = start(work)
    for number in (*WARNINGS, *WARNINGS, signal.SIGTERM):
        process.send_signal(number)
        after = "; a second signal ends the run at once" if number == signal.SIGTERM else ""
        assert process.stderr.readline() == f"{number.name}: stopping after this step, then saving{after}\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stderr.readline().startswith("SIGUSR1: stopping")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    assert process.communicate() == ("", "")


def test_the_first_signal_decides_the_exit_code():
    with StopFlag() as flag:
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert flag.should_stop is Code.USER_1


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag() as flag:
            os.kill(os.getpid(), signal.SIGHUP)
            assert flag.should_stop is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert flag.should_stop is Code.TERMINATED
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


LACKING = """
import os, signal
del signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
from perceiver_jax.system.signals import STOPS, StopFlag
with StopFlag() as flag:
    os.kill(os.getpid(), signal.SIGTERM)
    print([number.name for number in STOPS], flag.should_stop)
"""


def test_a_platform_that_lacks_a_signal_does_without_it():
    done = subprocess.run([sys.executable, "-c", LACKING], capture_output=True, text=True)
    assert done.stdout == "['SIGTERM', 'SIGINT'] 143\n", done.stderr


def _outlive(pipe):
    enter_worker(*STOPS)
    pipe.send("ready")
    pipe.send(pipe.recv())


def test_a_worker_outlives_every_signal_that_stops_its_parent():
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=_outlive, args=(theirs,))
    worker.start()
    assert ours.recv() == "ready"
    for number in STOPS:
        os.kill(worker.pid, number)
    ours.send("alive")
    assert ours.recv() == "alive"
    worker.join(10)
    assert worker.exitcode == 0
