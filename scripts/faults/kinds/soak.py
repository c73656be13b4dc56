"""One long run, killed at random instants again and again."""

import signal
import time

from scripts.faults.campaign import Campaign, Suite
from scripts.faults.tiny import TINY, last

STEPS_PER_KILL, SAVES_PER_KILL = 2_000, 20
FEW_STEPS, FEW_SAVES = 30, 6  # of the quick form
SPARE = 2  # saves at the end of the run: it may do some until it is dead


class Soak(Suite):
    """However often it is killed, it comes to its end, with the bits of a run that nobody disturbed."""

    rows = "one long run, killed at random instants until it is done"
    quick, full = 1, 100

    def inject(self, campaign: Campaign, count: int) -> None:
        """All kills to one run, as far apart as chance has it."""
        each, saves = (FEW_STEPS, FEW_SAVES) if count <= self.quick else (STEPS_PER_KILL, SAVES_PER_KILL)
        every, steps = each // saves, each * (count + 1)
        lengths = {"duration": steps, "checkpoint_every": every, "log_every": every, "eval_every": steps}
        settings = last([*TINY, *(f"--config.train.{name}={length} steps" for name, length in lengths.items())])
        quiet, path, trials, done = campaign.new(), campaign.new(), [], 0
        began = time.monotonic()
        campaign.launcher.finish(quiet, *settings)
        seconds, began = time.monotonic() - began, time.monotonic()
        for number in range(count):
            run = campaign.launcher.train(path, *settings)
            left = (steps - done) // every - (count - number) - SPARE
            done += every * campaign.rng.randint(1, 1 + min(2 * left // (count - number), left))
            with campaign.trial(f"kill {number + 1}, after step {done:,} of {steps:,}") as trial:
                run.until(f"step {done}/")
                time.sleep(campaign.rng.uniform(0, seconds / steps * every))
                stopped = time.monotonic()
                trial.expect(run.kill(signal.SIGKILL) == -signal.SIGKILL, f"not killed: {run.stderr[-1000:]}")
                campaign.killed(path, trial, run, stopped, every)
            trials.append(trial)
        campaign.end(path, trials, quiet, settings)
        if count > self.quick:
            campaign.note(f"soak: {time.monotonic() - began:,.0f} s with {count} kills, {seconds:,.0f} s without")


MEMBER = Soak
