"""Two trainers started at the same time on one workdir."""

import signal
import time

from perceiver_jax.errors import Code
from scripts.faults.campaign import Campaign, Suite
from scripts.faults.tiny import SAVE_EVERY, STEPS


class Races(Suite):
    """Exactly one trains; the other ends with 6 and names it."""

    rows = "two trainers at the same time on one workdir"
    quick, full = 1, 50

    def inject(self, campaign: Campaign, count: int) -> None:
        """After each race the winner is asked to stop, and the next race goes on with the run until it is done."""
        while count:
            path, trials = campaign.begun(STEPS - (2 if count <= self.quick else 8) * SAVE_EVERY), []
            while count and not (path / "result.json").exists():
                with campaign.trial("two trainers at once") as trial:
                    runs = [campaign.train(path) for _ in range(2)]
                    began = time.monotonic()
                    while not any(run.ended for run in runs):
                        time.sleep(0.01)
                    trial.seconds = time.monotonic() - began
                    loser, winner = sorted(runs, key=lambda run: not run.ended)
                    trial.expect(loser.wait() == Code.WORKDIR, f"exit code {loser.wait()}: {loser.stderr[-1000:]}")
                    trial.says(rf"^error\[6\] workdir {path}: in use by pid {winner.pid} on ", loser.stderr)
                    trial.expect("step" not in loser.stderr, "the one that was refused has trained")
                    winner.until_step()
                    code = winner.kill(signal.SIGTERM)
                    trial.expect(code in (0, Code.TERMINATED), f"exit code {code}: {winner.stderr[-1000:]}")
                trials.append(trial)
                count -= 1
            campaign.end(path, trials)


MEMBER = Races
