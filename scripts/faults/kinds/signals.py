"""SIGTERM and SIGINT in every phase of a run, both at once, and followed by SIGKILL."""

import os
import re
import signal
import time
from pathlib import Path

from perceiver_jax.errors import Code
from perceiver_jax.system.crash_points import VARIABLE
from scripts.faults.campaign import Campaign, Suite, Trial
from scripts.faults.tiny import SAVE_EVERY, STEPS

CODES = {signal.SIGTERM: Code.TERMINATED, signal.SIGINT: Code.INTERRUPTED}
# The instants at which the process gets the signal, by phase, so that one run passes all of them.
PHASES = {
    "an evaluation": "mid-evaluation",
    "a save": "before-manifest",
    "a step": "after-step",
    "the first compilation": "mid-compile",
    "a restore": "mid-restore",
    "the wait for data": "data-wait",
    "the start": "after-claim",
}
DELAY = 2  # steps that may still be done
GRACE = 0.2  # seconds between SIGTERM and SIGKILL


class Signals(Suite):
    """The run saves where it is and ends with the signal's exit code; a second signal ends it at once."""

    rows = "SIGTERM, SIGINT in every phase; both; then SIGKILL"
    quick, full = 2, 180

    def inject(self, campaign: Campaign, count: int) -> None:
        """All kinds in turn, those of one signal on one run, which begins before a step where it is evaluated."""
        while count:
            for number in CODES:
                acts = [lambda path, one=one, number=number: _asked(campaign, path, one, number) for one in PHASES]
                acts.insert(0, lambda path: _both(campaign, path))
                acts.append(lambda path: _then_killed(campaign, path))
                turn = acts[:count]
                count -= len(turn)
                path = campaign.begun(STEPS - 5 * SAVE_EVERY)
                trials = [act(path) for act in turn]
                if trials:
                    campaign.end(path, trials)


def _asked(campaign: Campaign, path: Path, phase: str, number: signal.Signals) -> Trial:
    """One signal, which the process sends to itself."""
    with campaign.trial(f"{number.name} in {phase}") as trial:
        run = campaign.train(path, environment={VARIABLE: f"{PHASES[phase]}:{number.name}"})
        run.until(f"{number.name}: stopping")
        began = time.monotonic()
        code = run.wait()
        trial.seconds = time.monotonic() - began
        before, _, after = run.stderr.partition(f"{number.name}: stopping")
        trial.expect(code == CODES[number], f"exit code {code}: {after[-1000:]}")
        trial.says(r"^stopped at step \d+; the same command (resumes|starts over)$", after)
        stopped = int(re.search(r"^stopped at step (\d+)", after, re.M)[1])
        began_at = [int(step) for step in re.findall(r"^(?:resumed at step |step )(\d+)", before, re.M)]
        trial.expect(not began_at or stopped - began_at[-1] <= DELAY, f"stopped at {stopped}, asked at {began_at[-1:]}")
        trial.expect(max(campaign.saved(path)) == stopped, f"stopped at {stopped}, saved {campaign.saved(path)}")
    return trial


def _both(campaign: Campaign, path: Path) -> Trial:
    """Two signals at the same instant: the second one ends the process without a save."""
    with campaign.trial("SIGTERM and SIGINT at once") as trial:
        run = campaign.train(path, environment={VARIABLE: "after-step:SIGSTOP"}).until_suspended()
        before = campaign.saved(path)
        for number in (*CODES, signal.SIGCONT):
            os.kill(run.pid, number)
        began = time.monotonic()
        code = run.wait()
        campaign.killed(path, trial, run, began)
        trial.expect(code in CODES.values(), f"exit code {code}: {run.stderr[-1000:]}")
        trial.says("a second signal ends the run at once", run.stderr)
        trial.expect(campaign.saved(path) == before, "saved, though it was to end at once")
    return trial


def _then_killed(campaign: Campaign, path: Path) -> Trial:
    """What schedulers do to those who take too long."""
    with campaign.trial(f"SIGTERM, after {GRACE} s SIGKILL") as trial:
        run = campaign.train(path).until_step()
        os.kill(run.pid, signal.SIGTERM)
        time.sleep(GRACE)
        began = time.monotonic()
        if not run.ended:
            os.kill(run.pid, signal.SIGKILL)
        code = run.wait()
        trial.expect(code in (-signal.SIGKILL, Code.TERMINATED), f"exit code {code}: {run.stderr[-1000:]}")
        campaign.killed(path, trial, run, began)
    return trial


MEMBER = Signals
