"""Power lost at any flush, rename or new directory of a launch: the disk keeps what was flushed, and parts of the rest."""

import shutil
import signal
import time
from pathlib import Path

from perceiver_jax.training import manifest
from scripts.faults.campaign import Campaign, Suite
from scripts.faults.tiny import SAVE_EVERY, STEPS


class Power(Suite):
    """The step of the last save that had ended is there, whole, with the log up to it; the run goes on from there."""

    rows = "power lost at every flush, rename and new directory: unflushed files and entries kept, in parts or not at all"
    quick, full = 2, 400

    def inject(self, campaign: Campaign, count: int) -> None:
        """Calls at random of a launch that saves thrice, the last one not pruned by later ones."""
        total = self._calls(campaign)
        for number in range(count):
            path, image = campaign.begun(STEPS - 3 * SAVE_EVERY), campaign.new()
            call = 1 + (number * total // count if count < total else campaign.rng.randrange(total))
            with campaign.trial(f"power lost before call {call} of {total}") as trial:
                began = time.monotonic()
                run = campaign.train(path, layer=self._layer(path, image, call, number))
                code = run.wait()
                trial.seconds = time.monotonic() - began
                trial.void = code == 0  # fewer calls this time
                if not trial.void:
                    trial.expect(code == -signal.SIGKILL, f"exit code {code}: {run.stderr[-1500:]}")
                    whole = manifest.newest_valid(image / "checkpoints", set_aside=False)
                    campaign.lose(trial, run, whole[0] if whole else 0)
            shutil.rmtree(path)
            if not trial.void:
                campaign.end(image, [trial])

    def _layer(self, path: Path, image: Path, call: int, seed: int) -> list:
        return ["power_loss", str(path), str(image), call, seed]

    def _calls(self, campaign: Campaign) -> int:
        """How many calls such a launch makes."""
        path = campaign.begun(STEPS - 3 * SAVE_EVERY)
        return campaign.num_calls(path, self._layer(path, path, 0, 0))


MEMBER = Power
