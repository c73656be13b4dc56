"""A disk that refuses one call of a save: each call in turn, with each error, in this process."""

import errno
import shutil
import time

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.disk import TEMPORARY
from perceiver_jax.training import checkpoint, manifest
from scripts.faults.campaign import Campaign, Suite, contents
from scripts.faults.refusals import Refusals
from scripts.faults.tiny import SAVE_EVERY, STEPS

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)
NEW = STEPS + SAVE_EVERY


class DiskCalls(Suite):
    """Only the new step is lost: the older ones are intact, nothing of the new one is left, and the next save succeeds."""

    rows = "ENOSPC, EIO, EROFS, EDQUOT at every call of a save, in this process"
    quick, full = 12, 400

    def inject(self, campaign: Campaign, count: int) -> None:
        """The calls evenly, or all of them several times."""
        place = campaign.new() / "checkpoints"
        for step in (STEPS - SAVE_EVERY, STEPS):
            shutil.copytree(campaign.quiet / "checkpoints" / str(step), place / str(step))
        state = checkpoint.restore(place, STEPS, campaign.programs.abstract_state)
        prints = dict(manifest.read(place, STEPS).fingerprints)
        before = contents(place)

        def save(first: int, number: int) -> tuple[str, int]:
            """What a save says whose call `first` is refused, and how many calls there were."""
            with Refusals(place, first, 1, number) as layer:
                try:
                    checkpoint.save(place, NEW, state, prints, keep=10)
                except Failure as failure:
                    return str(failure) if failure.code == Code.WORKDIR else f"another code: {failure}", layer.calls
            return "", layer.calls

        total = save(0, 0)[1]
        shutil.rmtree(place / str(NEW))
        number = 0
        while number < count:
            call, error = 1 + (number * total // count if count < total else number % total), ERRORS[number % 4]
            with campaign.trial(f"errno {error} at call {call} of {total}") as trial:
                began = time.monotonic()
                told, calls = save(call, error)
                trial.seconds = time.monotonic() - began
                trial.void = calls < call  # Orbax does not make as many each time
                if NEW in manifest.steps(place):  # or only the flush of the parent was refused: the step is complete
                    manifest.verify(place, NEW)
                    shutil.rmtree(place / str(NEW))
                left = [path for path in place.iterdir() if path.name.startswith(TEMPORARY)]
                trial.leaked = sum(path.stat().st_size for one in left for path in one.rglob("*"))
                trial.expect(not left, f"left {left}")
                trial.trust(contents(place) == before, "the older checkpoints changed")
                if not trial.void:
                    trial.says(rf"^error\[6\] checkpoint {place / str(NEW)} was not saved: ", told)
            total = calls if trial.void else total
            number += not trial.void
        told, _ = save(0, 0)
        hashes = {manifest.verify(place, step).state_sha256 for step in (STEPS, NEW)}
        if told or len(hashes) > 1:
            campaign.fail(campaign.trials[-1], f"no save succeeds afterwards: {told}")


MEMBER = DiskCalls
