"""Chains of ten resumes by signals at random steps, of runs with all that is random in training, with workers or none."""

import signal

from perceiver_jax.errors import Code
from scripts.faults.campaign import Campaign, Suite, Trial, make_quiet
from scripts.faults.kinds.resumes import RUNS
from scripts.faults.tiny import CONFIG, SAVE_EVERY, STEPS, TINY

LINKS = 10
SPARE = 8  # steps at the end of a run: it may do some until the signal comes


class Chains(Suite):
    """The run ends as the one that nobody stopped, whichever of its launches had two workers."""

    rows = "chains of ten resumes in processes of their own, with two workers and none"
    quick, full = 1, 60

    def inject(self, campaign: Campaign, count: int) -> None:
        """A chain for each run in turn; every third launch reads its data with two workers."""
        few = count <= self.quick
        runs = {"tiny": (TINY, CONFIG)} if few else RUNS
        quiets, number = {"tiny": campaign.quiet}, 0
        while count:
            name = list(runs)[number % len(runs)]
            if name not in quiets:
                quiets[name] = campaign.new()
                make_quiet(campaign.launcher, quiets[name], *runs[name])
            path, trials = campaign.begun(STEPS - 4 * SAVE_EVERY) if few else campaign.new(), []
            for link in range(min(count, LINKS)):
                trial = self._stop(campaign, path, name, runs[name], link)
                if trial.void:
                    break
                trials.append(trial)
                count -= 1
            if trials:
                campaign.end(path, trials, quiets[name], *runs[name])
            number += 1

    def _stop(self, campaign: Campaign, path, name: str, run: tuple, link: int) -> Trial:
        settings, config = run
        begun, workers = max(campaign.saved(path), default=0), 2 if link % 3 == 2 else 0
        left = (STEPS - SPARE - begun) // (LINKS - link)
        with campaign.trial(f"{name}: resume {link + 1}, {workers} workers") as trial:
            if left < 1:
                trial.void = True
                return trial
            step = begun + campaign.rng.randrange(1, left + 1)
            launched = campaign.launcher.train(path, *settings, f"--config.data.num_workers={workers}", config=config)
            code = launched.until(f"step {step}/").kill(signal.SIGTERM)
            trial.expect(code == Code.TERMINATED, f"exit code {code}: {launched.stderr[-1000:]}")
            trial.says(r"^stopped at step \d+; the same command resumes$", launched.stderr)
        return trial


MEMBER = Chains
