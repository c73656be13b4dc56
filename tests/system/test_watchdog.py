"""A process that makes no progress ends, says what it waited for and where each thread was."""

import re
import subprocess
import sys
import time

import pytest

from perceiver_jax.errors import Code
from perceiver_jax.system.watchdog import Watchdog

STUCK = """
import time
from perceiver_jax.system.watchdog import Watchdog

def stuck(seconds):
    time.sleep(seconds)

with Watchdog(0.3) as dog:
    for seconds in {times}:
        with dog.task("step", "step 7 on the devices"):
            stuck(seconds)
print("ended")
"""


def ended(times, **options):
    return subprocess.run([sys.executable, "-c", STUCK.format(times=times)], capture_output=True, text=True, **options)


def test_a_task_that_takes_too_long_ends_the_process_and_is_named():
    began = time.monotonic()
    done = ended([0.0, 0.01, 30])
    assert time.monotonic() - began < 10
    assert (done.returncode, done.stdout) == (Code.WATCHDOG, "")
    assert "in stuck\n" in done.stderr
    message = done.stderr[done.stderr.index("error[") :]
    assert message.startswith("error[70] no progress: step 7 on the devices\n  found: ")
    taken, usual = map(float, re.search(r"found: (\S+) s, where one takes (\S+) s\n", message).groups())
    assert 0 < usual < 0.3 <= taken < 10  # shown in three digits: a moment more than 0.3 is 0.3
    assert "try: the same command resumes at the newest checkpoint" in message


def test_the_first_task_has_ten_times_the_limit_and_no_more():
    began = time.monotonic()
    done = ended([30])
    assert 3 < time.monotonic() - began < 15
    assert done.returncode == Code.WATCHDOG
    assert re.search(
        r"^error\[70\] no progress: step 7 on the devices\n  found: \S+ s, for the first of its kind$", done.stderr, re.M
    )


def test_the_first_task_and_what_is_as_slow_as_its_kind_are_let_be():
    done = ended([0.9, 1.0])
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_time_within_another_task_is_not_that_of_the_outer_one():
    done = subprocess.run([sys.executable, "-c", NESTED], capture_output=True, text=True)
    assert done.returncode == Code.WATCHDOG
    assert "no progress: step 3\n" in done.stderr
    assert done.stdout == "slow, but it moves\n"


NESTED = """
import time
from perceiver_jax.system.watchdog import Watchdog

with Watchdog(0.3) as dog:
    for _ in range(3):
        with dog.task("loop", "step 1"):
            pass
    with dog.task("loop", "step 2"):
        for _ in range(2):
            with dog.task("save", "a save"):
                time.sleep(0.25)
    print("slow, but it moves", flush=True)
    with dog.task("loop", "step 3"):
        with dog.task("save", "a save"):
            pass
        time.sleep(30)
"""


def test_a_stderr_that_nobody_reads_does_not_keep_it_alive():
    spoken = "seconds and [print('x' * 1000, file=sys.stderr) for _ in range(1000)]"
    code = STUCK.format(times=[0.0, 30]).replace("time.sleep(seconds)", spoken)
    code = f"import sys\nfrom perceiver_jax.system import watchdog\nwatchdog.SAYING_SECONDS = 0.5\n{code}"
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert child.wait(timeout=30) == Code.WATCHDOG
    child.stderr.close()


def test_a_process_that_was_stopped_is_not_stuck():
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\n" + STUCK.format(times=[0.0, 0.2])], stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    for _ in range(4):
        subprocess.run(["kill", "-STOP", str(child.pid)], check=True)
        time.sleep(0.4)
        subprocess.run(["kill", "-CONT", str(child.pid)], check=True)
        time.sleep(0.02)
    assert child.communicate()[0] == "ended\n"
    assert child.returncode == 0


@pytest.mark.parametrize("seconds", [None, 0.05])
def test_nothing_ends_between_tasks(seconds):
    with Watchdog(seconds) as dog:
        for _ in range(2):
            with dog.task("step", "step 1"):
                pass
        time.sleep(0.2)
