"""SIGKILL at a random instant, again and again until the run is done."""

import shutil
import signal
import time
from pathlib import Path

from scripts.faults.campaign import Campaign, Suite, Trial
from scripts.faults.tiny import SAVE_EVERY, STEPS


class SigKill(Suite):
    """The run goes on from the newest checkpoint, and no checkpoint is ever half written."""

    rows = "SIGKILL at a random instant"
    quick, full = 1, 1_000

    def inject(self, campaign: Campaign, count: int) -> None:
        """Kills each launch after a random time; a launch that finishes earlier ends its run."""
        few = count <= self.quick
        seconds = campaign.seconds * (0.4 if few else 1.0)
        while count:
            path = campaign.begun(STEPS - 4 * SAVE_EVERY) if few else campaign.new()
            trials: list[Trial] = []
            while count:
                trial, came_to_steps = self._kill(campaign, path, campaign.rng.uniform(0, seconds))
                # How long a launch takes differs from minute to minute on a shared machine.
                seconds *= 0.8 if trial.void else 1.0 if came_to_steps else 1.25
                if trial.void:
                    break
                trials.append(trial)
                count -= 1
            if trials:
                campaign.end(path, trials)
            else:
                shutil.rmtree(path)

    def _kill(self, campaign: Campaign, path: Path, delay: float) -> tuple[Trial, bool]:
        """What a kill came to, and whether the launch had come to a step."""
        run = campaign.train(path)
        with campaign.trial(f"SIGKILL after {delay:.2f} s") as trial:
            time.sleep(delay)
            began = time.monotonic()
            if run.ended or run.kill(signal.SIGKILL) != -signal.SIGKILL:
                trial.void = True
            else:
                campaign.killed(path, trial, run, began)
        return trial, run.came_to_steps


MEMBER = SigKill
