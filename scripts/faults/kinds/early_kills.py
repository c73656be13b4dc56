"""SIGKILL ten times in a row before the first save, and while a checkpoint is restored."""

import shutil
import signal
import time
from pathlib import Path

from perceiver_jax.system.crash_points import VARIABLE
from scripts.faults.campaign import Campaign, Suite, Trial, contents
from scripts.faults.tiny import SAVE_EVERY, STEPS

IN_A_ROW = 10


class EarlyKills(Suite):
    """The run begins at 0 again, without litter; a restore changes nothing on the disk."""

    rows = "SIGKILL before the first save, ten in a row; SIGKILL during restore"
    quick, full = 2, 220

    def inject(self, campaign: Campaign, count: int) -> None:
        """Of each eleven, ten of the first kind and one of the second."""
        while count:
            turn = min(count, IN_A_ROW + 1)
            path, trials = campaign.new(), []
            while len(trials) < turn - 1:
                trial = self._kill(campaign, path)
                if trial.void:  # the first save was faster: this run goes on, and another begins
                    campaign.end(path, trials or [trial])
                    path = campaign.new()
                else:
                    trials.append(trial)
            self._during_restore(campaign)
            if trials:
                campaign.end(path, trials)
            count -= turn

    def _kill(self, campaign: Campaign, path: Path) -> Trial:
        with campaign.trial("SIGKILL before the first save") as trial:
            run = campaign.train(path)
            if campaign.rng.random() < 0.5:
                run.until(f"step {campaign.rng.randrange(1, SAVE_EVERY)}/")
            else:
                time.sleep(campaign.rng.uniform(0, 0.5))
            began = time.monotonic()
            code = run.kill(signal.SIGKILL)
            trial.void = bool(campaign.saved(path))
            trial.expect(trial.void or code == -signal.SIGKILL, f"not killed: {run.stderr[-1000:]}")
            campaign.killed(path, trial, run, began)
            trial.expect("resumed" not in run.stderr, "resumed, with nothing saved")
        return trial

    def _during_restore(self, campaign: Campaign) -> None:
        path = campaign.begun(STEPS)
        before = contents(path / "checkpoints")
        with campaign.trial("SIGKILL during restore") as trial:
            run = campaign.train(path, environment={VARIABLE: "mid-restore"})
            trial.expect(run.wait() == -signal.SIGKILL, f"not killed: {run.stderr[-1000:]}")
            trial.trust(contents(path / "checkpoints") == before, "a restore that was killed changed the checkpoints")
        shutil.rmtree(path)


MEMBER = EarlyKills
