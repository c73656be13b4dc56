"""Damaged checkpoints, and what does not belong beside them, met by a launch of the run."""

import shutil
import time

from perceiver_jax.errors import Code
from scripts.faults.campaign import Campaign, Suite
from scripts.faults.kinds import damage
from scripts.faults.tiny import STEPS

LITTER = ("-1", "007", "1e3", ".tmp-65", "nothing", str(10**18))  # empty directories; only the last has a step's name
KINDS = (damage.flip, damage.truncate, damage.append, damage.delete, damage.rename, damage.manifest_text)


class DamagedRuns(Suite):
    """The run goes on from the newest step that is whole, says so, and never begins again at 0."""

    rows = "one or two of three checkpoints damaged, or all, and litter beside them: a launch"
    quick, full = 2, 200

    def inject(self, campaign: Campaign, count: int) -> None:
        """Every other time all of them are damaged; after the refusal the newest is put back, as a user would do."""
        for number in range(count):
            path = campaign.begun(STEPS)
            checkpoints, steps = path / "checkpoints", campaign.saved(path)
            for name in LITTER:
                (checkpoints / name).mkdir()
            bad = steps if number % 2 else steps[campaign.rng.choice((1, 2)) :]
            kind = campaign.rng.choice(KINDS)
            with campaign.trial(f"{kind.__name__} of {len(bad)} of {len(steps)} checkpoints") as trial:
                copy = shutil.copytree(checkpoints / str(steps[-1]), campaign.new())
                for step in bad:
                    damage.done(kind, checkpoints / str(step), campaign.rng)
                rejected, using = [*bad, 10**18], max({*steps} - {*bad}, default=steps[-1])
                if bad == steps:
                    records = (path / "metrics.jsonl").read_bytes()
                    run = campaign.train(path)
                    trial.expect(run.wait() == Code.CHECKPOINT, f"all are damaged: {run.stderr[-1000:]}")
                    named = "".join(rf"(?=[^\n]*step {step}: )" for step in rejected)
                    trial.says(rf"^error\[4\] no valid checkpoint: in {checkpoints}\n  found: {named}", run.stderr)
                    trial.expect(records == (path / "metrics.jsonl").read_bytes(), "a refused launch changed the log")
                    shutil.rmtree(checkpoints / str(using))
                    shutil.copytree(copy, checkpoints / str(using))
                    rejected = [10**18]
                began = time.monotonic()
                run = campaign.train(path)
                trial.expect(run.wait() == 0, f"does not end well: {run.stderr[-1000:]}")
                trial.seconds = time.monotonic() - began
                for step in rejected:
                    trial.says(rf"^warning: step {step} rejected: [^\n]*; using {using}$", run.stderr)
                trial.says(rf"^resumed at step {using}$", run.stderr)
                campaign.judge(path, [trial])
            shutil.rmtree(path)


MEMBER = DamagedRuns
