"""A disk that refuses calls of a launch, one or all from then on; one that is slow; one that is really full for a while."""

import contextlib
import errno
import os
import shutil
import signal
import time
from pathlib import Path

from perceiver_jax.errors import Code
from perceiver_jax.training import manifest
from scripts.faults.campaign import Campaign, Suite, Trial
from scripts.faults.mounts import mounted
from scripts.faults.tiny import SAVE_EVERY, STEPS

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)
ONE, SOME, ALL = 1, 40, None  # calls in a row that are refused
FLUSH_SECONDS, GRACE = 0.1, 30.0  # the latter from a signal to its end, as schedulers give it
MANY = 1_000  # files and directories that the small file system has room for


class DiskRuns(Suite):
    """Training goes on, or ends with 6; checkpoints are intact, and the same command makes up for what is missing."""

    rows = "ENOSPC, EIO, EROFS, EDQUOT from every k-th call on, once, for a while, for ever; a full tmpfs; a slow disk"
    quick, full = 1, 300

    def inject(self, campaign: Campaign, count: int) -> None:
        """Calls at random of a launch that saves thrice; of ten disks one is slow, one full, if one may be mounted."""
        total = self._calls(campaign) if count > self.quick else 60
        for number in range(count):
            if number % 10 == 9:
                self._full(campaign, of_files=number % 20 == 19)
                continue
            if number % 10 == 8:
                self._slow(campaign)
                continue
            path, error, refused = campaign.begun(STEPS - 3 * SAVE_EVERY), ERRORS[number % 4], (ONE, SOME, ALL)[number % 3]
            call = 1 + campaign.rng.randrange(total)
            words = {ONE: "once", SOME: f"{SOME} times", ALL: "for ever"}[refused]
            with campaign.trial(f"{errno.errorcode[error]} from call {call} of {total} on, {words}") as trial:
                began = time.monotonic()
                run = campaign.train(path, layer=["refusals", str(path), call, refused, error])
                code = run.wait()
                trial.seconds = time.monotonic() - began
                _intact(trial, path)
                trial.expect(code in (0, Code.WORKDIR), f"exit code {code}: {run.stderr[-1500:]}")
                if code:
                    trial.says(rf"error\[6\] [^\n]*{os.strerror(error).lower()}", run.stderr)
            Path(f"{path}.calls").unlink(missing_ok=True)
            campaign.end(path, [trial])

    def _calls(self, campaign: Campaign) -> int:
        """How many calls such a launch makes."""
        path = campaign.begun(STEPS - 3 * SAVE_EVERY)
        return campaign.num_calls(path, ["refusals", str(path), 0, ONE, 0])

    def _slow(self, campaign: Campaign) -> None:
        path = campaign.begun(STEPS - 6 * SAVE_EVERY)
        with campaign.trial(f"each flush takes {FLUSH_SECONDS} s, SIGTERM") as trial:
            run = campaign.train(path, layer=["slow", FLUSH_SECONDS]).until_step()
            began = time.monotonic()
            code = run.kill(signal.SIGTERM)
            trial.seconds = time.monotonic() - began
            trial.expect(code == Code.TERMINATED, f"exit code {code}: {run.stderr[-1500:]}")
            trial.expect(trial.seconds < GRACE, f"saved after {trial.seconds:.1f} s")
            campaign.count_lost(path, trial, run)
        campaign.end(path, [trial])

    def _full(self, campaign: Campaign, of_files: bool) -> None:
        place = campaign.new()
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size=4m,nr_inodes={MANY}", "none", str(place)]
        with mounted(place, command) as there:
            if not there:
                campaign.note("no file system can be mounted here: a full one is left out")
                return
            path = place / "run"
            shutil.move(campaign.begun(STEPS - 6 * SAVE_EVERY), path)
            with campaign.trial(f"a file system that is full of {'files' if of_files else 'bytes'} for a while") as trial:
                began = time.monotonic()
                run = campaign.train(path).until_step()
                filler = place / "filler"
                _fill(filler, of_files)
                run.until("checkpoint not saved; training continues: error[6]")
                trial.seconds = time.monotonic() - began
                shutil.rmtree(filler)
                trial.expect(run.wait() in (0, Code.WORKDIR), f"does not end well: {run.stderr[-1000:]}")
                trial.says(r"not saved; training continues: error\[6\] [^\n]*: no space left on device$", run.stderr)
                _intact(trial, path)
            campaign.end(path, [trial])


def _fill(folder: Path, of_files: bool) -> None:
    """Leaves no room for a byte, or for another file."""
    folder.mkdir()
    with contextlib.suppress(OSError):
        for number in range(MANY):
            with open(folder / str(number), "wb", buffering=0) as file:
                while not of_files and file.write(bytes(4096)):
                    pass


def _intact(trial: Trial, path: Path) -> None:
    for step in manifest.steps(path / "checkpoints"):
        manifest.verify(path / "checkpoints", step)
    trial.expect(manifest.steps(path / "checkpoints"), "no checkpoint is left")


MEMBER = DiskRuns
