"""A run that is suspended and goes on; a process that reads its data killed or suspended."""

import functools
import os
import re
import signal
import subprocess
import time

from perceiver_jax.errors import Code
from perceiver_jax.system.crash_points import VARIABLE
from scripts.faults.campaign import Campaign, Suite, Trial
from scripts.faults.processes import Run
from scripts.faults.tiny import SAVE_EVERY, STEPS

STALL_SECONDS = 4.0  # without progress
LATER = 1.5  # times that, for which the run is suspended
WORKERS = ["--config.data.num_workers=1", "--config.data.prefetch_batches=1", f"--stall_seconds={STALL_SECONDS}"]

AS_TEXT = {"capture_output": True, "text": True}

FIRST = "for the first of its kind"
KILLED = r"^error\[7\] a process that reads data has ended\n  found: exit code -9, killed"
STUCK = r"^error\[70\] no progress: (waiting for a batch|batch \d+ of split)"


class Suspended(Suite):
    """Time in which the run was stopped is no stall; a worker that ends or stands still ends the run, which says so."""

    rows = "the run suspended for longer than it may stall; its data worker killed, or suspended"
    quick, full = 1, 60

    def inject(self, campaign: Campaign, count: int) -> None:
        """All three in turn, each to a run of its own."""
        acts = {
            "data worker killed": functools.partial(_to_worker, signal.SIGKILL, Code.MEMORY, KILLED),
            "run suspended": _paused,
            "data worker suspended": functools.partial(_to_worker, signal.SIGSTOP, Code.WATCHDOG, STUCK),
        }
        for number in range(count):
            name = list(acts)[number % len(acts)]
            few = count <= self.quick
            path, waits = campaign.begun(STEPS - 2 * SAVE_EVERY), 2 if few else campaign.rng.randrange(1, 4)
            with campaign.trial(f"{name} at the {waits}. wait for a batch") as trial:
                # It suspends itself, so that the worker has not read to the end meanwhile.
                at = {VARIABLE: f"data-wait:SIGSTOP:{waits}"}
                run = campaign.train(path, *WORKERS, environment=at).until_suspended()
                try:
                    acts[name](trial, run)
                finally:
                    if not run.ended:
                        run.kill(signal.SIGKILL)
            campaign.end(path, [trial])


def _paused(trial: Trial, run: Run) -> None:
    time.sleep(LATER * STALL_SECONDS)
    code = _continued(run)
    trial.expect(code == Code.DONE, f"exit code {code}: {run.stderr[-1000:]}")


def _to_worker(number: int, expected: Code, words: str, trial: Trial, run: Run) -> None:
    """A signal to the worker; the run ends with a code and says why.

    Of a worker that ends before it has read what it is started with Python says nothing: that too is a wait without end.
    """
    _signal_worker(number, trial, run)
    began = time.monotonic()
    code = _continued(run)
    trial.seconds = time.monotonic() - began
    if code == Code.WATCHDOG and FIRST in run.stderr:
        expected, words = Code.WATCHDOG, STUCK
    trial.expect(code == expected, f"exit code {code}: {run.stderr[-1000:]}")
    trial.says(words, run.stderr)


def _signal_worker(number: int, trial: Trial, run: Run) -> None:
    """Sends a signal to the process that reads data for a run, which goes on as long as there is none."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(run.pid)]
    while not (workers := re.findall(r"^ *(\d+) .*spawn_main", subprocess.run(command, **AS_TEXT).stdout, re.M)):
        trial.expect(not run.ended, "no data worker")
        os.kill(run.pid, signal.SIGCONT)
    os.kill(int(workers[-1]), number)


def _continued(run: Run) -> int:
    """The exit code of a suspended run that goes on."""
    os.kill(run.pid, signal.SIGCONT)
    return run.wait()


MEMBER = Suspended
