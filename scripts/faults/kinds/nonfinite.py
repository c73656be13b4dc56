"""A number that is not finite, written into one place of one update."""

import re
import time

import numpy as np

from perceiver_jax.errors import Code
from perceiver_jax.training import checkpoint
from scripts.faults.campaign import Campaign, Suite
from scripts.faults.tiny import SAVE_EVERY, STEPS

PLACES = ("optimiser", "input", "loss", "gradient", "ema")
BEGUN = STEPS - 3 * SAVE_EVERY


class NonFinite(Suite):
    """The run ends with 5 before it is saved; a launch with the same cause ends at the same step, one without it goes on."""

    rows = "NaN or infinity in an input, the loss, a gradient, the optimiser, the running mean: never saved, replayed"
    quick, full = 1, 50

    def inject(self, campaign: Campaign, count: int) -> None:
        """All places in turn."""
        for number in range(count):
            place, value = PLACES[number % len(PLACES)], (float("nan"), float("inf"))[number // len(PLACES) % 2]
            path, step = campaign.begun(BEGUN), campaign.rng.randrange(BEGUN + 1, STEPS)
            with campaign.trial(f"{value} in {place} of update {step}") as trial:
                told = []
                for _ in range(1 if count <= self.quick else 2):  # the second time it is replayed
                    began = time.monotonic()
                    run = campaign.train(path, layer=["nonfinite", place, step, value])
                    code = run.wait()
                    trial.seconds = time.monotonic() - began
                    self._check_saved(campaign, path, trial)
                    trial.expect(code == Code.NUMERICS, f"exit code {code}: {run.stderr[-1000:]}")
                    trial.says(r"^error\[5\] [^\n]+: step \d+\n  expected: finite numbers\n  try: ", run.stderr)
                    told.append(re.search(r"^error\[5\] [^\n]+: step (\d+)", run.stderr, re.M))
                trial.expect(told[0][0] == told[-1][0], f"replayed, it ends otherwise: {told[0][0]}; {told[-1][0]}")
                trial.lost = int(told[0][1]) - max(campaign.saved(path))
                trial.expect(step <= int(told[0][1]) <= step + SAVE_EVERY, f"found at step {told[0][1]}")
            campaign.end(path, [trial])

    def _check_saved(self, campaign: Campaign, path, trial) -> None:
        """Every number of every checkpoint is finite."""
        import jax

        for saved in campaign.saved(path):
            state = checkpoint.restore(path / "checkpoints", saved, campaign.programs.abstract_state)
            finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
            trial.trust(finite, f"checkpoint {saved} is not finite")


MEMBER = NonFinite
