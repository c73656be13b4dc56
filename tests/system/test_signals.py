"""A run can be asked to stop, and made to."""

import os
import signal
import subprocess
import sys

import pytest

from perceiver_jax.errors import Code
from perceiver_jax.system.signals import StopFlag

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, Code.TERMINATED), (signal.SIGINT, Code.INTERRUPTED)])
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
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(ValueError, match="leaves"), StopFlag():
        raise ValueError("leaves")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
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
