"""SIGKILL at each named instant of `perceiver_jax.system.crash_points`, and while arrays are being written."""

import signal
import time

from perceiver_jax.system.crash_points import POINTS, VARIABLE
from scripts.faults.campaign import Campaign, Suite
from scripts.faults.tiny import SAVE_EVERY, STEPS

WITHIN_SAVE = "mid-array"  # no instant of ours: Orbax's threads write
FEW = [WITHIN_SAVE, "mid-prune"]  # those that the tests do
OF_A_SAVE = POINTS[POINTS.index("after-temporary-directory") : POINTS.index("mid-prune") + 1]
AT_THE_END = ("mid-evaluation", "before-result", "before-lock-release")
# Such that one run passes all of them.
ORDER = [WITHIN_SAVE, *OF_A_SAVE, *(name for name in POINTS if name not in OF_A_SAVE + AT_THE_END), *AT_THE_END]


class CrashPoints(Suite):
    """As after SIGKILL at any instant."""

    rows = "SIGKILL at every named instant"
    quick, full = len(FEW), 10 * len(ORDER)

    def inject(self, campaign: Campaign, count: int) -> None:
        """One launch for each instant; a run goes through all of them, and begins again for those that remain."""
        while count:
            few = count <= self.quick
            turn = (FEW if few else ORDER)[:count]
            path, trials = campaign.begun(STEPS - (2 if few else 5) * SAVE_EVERY), []
            for name in turn:
                with campaign.trial(f"SIGKILL at {name}") as trial:
                    run = campaign.train(path, **self._at(campaign, path, name))
                    trial.expect(run.wait() == -signal.SIGKILL, f"not killed: {run.stderr[-1000:]}")
                    campaign.killed(path, trial, run, time.monotonic())
                    trials.append(trial)
            campaign.end(path, trials)
            count -= len(turn)

    def _at(self, campaign: Campaign, path, name: str) -> dict:
        """How a run is launched that dies at an instant."""
        if name == WITHIN_SAVE:
            saved = max(campaign.saved(path))
            return {"layer": ["killed_within_save", str(path / "checkpoints"), saved + SAVE_EVERY]}
        return {"environment": {VARIABLE: name}}


MEMBER = CrashPoints
