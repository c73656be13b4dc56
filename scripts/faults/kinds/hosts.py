"""Two processes of one run; one is killed, stopped, stuck, fails, has another clock or a full disk, or is told to stop."""

import os
import shutil
import signal
import time
from pathlib import Path

from perceiver_jax.errors import Code
from scripts.faults.campaign import Campaign, Suite, Trial
from scripts.faults.pairs import LOST_SECONDS, Pair
from scripts.faults.tiny import SAVE_EVERY, STEPS

ENDED, MISSED = r"^error\[{code}\] process {victim} on \S+ has ended the run$", r"^error\[70\] (process|JAX has ended)"
STALLED = r"^error\[70\] (process|JAX has ended|no progress: )"  # whoever notices it first
# By fault: the exit code of the process it is done to, that of the other one, and what the other one says.
ENDS = {
    "fails": (Code.DATA, Code.DATA, ENDED),
    "kill": (-signal.SIGKILL, Code.WATCHDOG, MISSED),
    "term": (Code.TERMINATED, Code.TERMINATED, r"^stopped at step \d+; the same command resumes$"),
    "stop": (Code.WATCHDOG, Code.WATCHDOG, STALLED),
    "raises": (Code.FAULT, Code.FAULT, ENDED),
    "nan": (Code.NUMERICS, Code.NUMERICS, ENDED),
    "memory": (Code.MEMORY, Code.MEMORY, ENDED),
    "leaves": (Code.FAULT, Code.FAULT, ENDED),
    "quits": (3, Code.WATCHDOG, MISSED),
    "sleeps": (Code.WATCHDOG, Code.WATCHDOG, STALLED),
    "spins": (Code.WATCHDOG, Code.WATCHDOG, STALLED),
    "full": (Code.WORKDIR, Code.WORKDIR, ENDED),
    "clock": (Code.DONE, Code.DONE, ""),
}
WRITER = "full"  # a fault of process 0 alone: the other one writes by calls that are not Python's
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
CLOCK = -7200.0  # seconds
STALL_SECONDS = 5  # seconds without progress
AFTER = SAVE_EVERY + 2  # steps of a launch before its fault: one is saved
SECONDS = 2 * LOST_SECONDS  # within which both end


class Hosts(Suite):
    """Both end within seconds, say why, with exit codes that tell what to do; the same commands resume."""

    rows = "two processes: one killed, stopped, stuck, failing, asked to stop, with another clock, on a full disk"
    quick, full = 1, 78

    def inject(self, campaign: Campaign, count: int) -> None:
        """All kinds in turn, to process 1 and process 0; a run goes through as many of them as it has steps for."""
        launchers = [campaign.launcher] * 2

        def begin() -> Path:
            return campaign.new() if count > self.quick else campaign.begun(STEPS - 3 * SAVE_EVERY)

        quiet = begin()
        assert Pair(launchers, quiet).wait() == [0, 0]
        path, trials = begin(), []
        for number in range(count):
            fault = list(ENDS)[number // 2 % len(ENDS)]
            victim = 0 if fault == WRITER else 1 - number % 2
            step = max(campaign.saved(path), default=0) + AFTER
            layers = {} if fault in SIGNALS else {victim: ["clock", CLOCK] if fault == "clock" else ["inside", fault, step]}
            with campaign.trial(f"{fault}, process {victim}, step {step}") as trial:
                pair = Pair(launchers, path, f"--stall_seconds={STALL_SECONDS}", layers=layers)
                _do(fault, pair, victim, step, trial)
                campaign.count_lost(path, trial, pair.runs[0])  # only process 0 prints the steps
            trials.append(trial)
            if number == count - 1 or max(campaign.saved(path), default=0) + AFTER >= STEPS:
                codes = Pair(launchers, path).wait()
                if codes == [0, 0]:
                    campaign.judge(path, trials, quiet)
                else:
                    campaign.fail(trial, f"the run does not end well: {codes}")
                shutil.rmtree(path)
                path, trials = begin(), []
        shutil.rmtree(quiet)


def _do(fault: str, pair: Pair, victim: int, step: int, trial: Trial) -> None:
    """One fault to a pair at work, and how both end."""
    *expected, words = ENDS[fault]
    one, other = pair.runs[victim], pair.runs[1 - victim]
    if fault != "clock":
        pair.until(f"step {step - 1}/")
    if fault in SIGNALS:
        os.kill(one.pid, SIGNALS[fault])
    began = time.monotonic()
    code = other.wait()
    trial.seconds = 0.0 if fault == "clock" else time.monotonic() - began
    if fault == "stop":
        os.kill(one.pid, signal.SIGCONT)
    codes = [one.wait(), code]
    trial.expect(codes == expected, f"exit codes {codes}: {one.stderr[-700:]}\n--\n{other.stderr[-700:]}")
    trial.expect(trial.seconds < SECONDS, f"the other one ended after {trial.seconds:.1f} s")
    if words:
        trial.says(words.format(code=int(code), victim=victim), other.stderr)


MEMBER = Hosts
