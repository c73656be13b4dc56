"""One bit of the parameters, changed in what one of four devices holds."""

import shutil
import time
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code
from scripts.faults.campaign import Campaign, Suite, Trial
from scripts.faults.processes import Run, on_devices
from scripts.faults.tiny import SAVE_EVERY

DEVICES = 4
STEPS = 20
SETTINGS = [f"--config.train.duration={STEPS} steps", "--config.data.eval_batch_size=448"]  # which four divide
NUMBERS = 32  # of the largest array
BITS, LOW = 32, 16  # of a number, and of them those that rounding may change back
DIFFERENT = "devices hold different bits of \\S+: step {save}\n  found: cpu:{device} of process 0 unlike 3 others"


class Flips(Suite):
    """The run ends with 5 where it would save next, or before, and the same command goes on from the last save."""

    rows = "one of the upper 16 bits of a parameter, changed on one of four devices"
    quick, full = 1, 100

    def inject(self, campaign: Campaign, count: int) -> None:
        """Any number on any device after any step, each in a run of its own."""
        quiet = campaign.new()
        first = _train(campaign, quiet)
        assert first.wait() == Code.DONE, first.stderr
        for _ in range(count):
            path, step = campaign.new(), campaign.rng.randrange(1, STEPS + 1)
            device, number = campaign.rng.randrange(DEVICES), campaign.rng.randrange(NUMBERS)
            bit = number * BITS + campaign.rng.randrange(LOW, BITS)
            with campaign.trial(f"bit {bit} on device {device} after update {step}") as trial:
                _flip(campaign, trial, path, step, device, bit)
                last = _train(campaign, path)
                trial.expect(last.wait() == Code.DONE, f"the run does not end well: {last.stderr[-1000:]}")
                campaign.judge(path, [trial], quiet)
            shutil.rmtree(path)
        shutil.rmtree(quiet)


def _flip(campaign: Campaign, trial: Trial, path: Path, step: int, device: int, bit: int) -> None:
    """One fault to a run of its own, and how it ends."""
    run = _train(campaign, path, layer=["flipped", step, device, bit]).until(f"step {step}/")
    began, save = time.monotonic(), -(-step // SAVE_EVERY) * SAVE_EVERY
    code = run.wait()
    trial.seconds = time.monotonic() - began
    trial.expect(code == Code.NUMERICS, f"exit code {code}: {run.stderr[-1000:]}")
    trial.says(rf"^error\[5\] ({DIFFERENT.format(save=save, device=device)}|\S+ is (nan|inf): )", run.stderr)
    campaign.count_lost(path, trial, run)
    trial.trust(max(campaign.saved(path), default=0) == save - SAVE_EVERY, "what differs was saved")


def _train(campaign: Campaign, path: Path, **how: Any) -> Run:
    """A launch on four devices."""
    return campaign.train(path, *SETTINGS, environment=on_devices(DEVICES), **how)


MEMBER = Flips
