"""Where a run is: paths that are hard to write, copies of it, a disk of another host, a directory that goes away."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.crash_points import VARIABLE
from perceiver_jax.training import manifest
from scripts.faults.campaign import Campaign, Suite, contents
from scripts.faults.mounts import mounted
from scripts.faults.tiny import SAVE_EVERY, STEPS

NAMES = ("a b", "größe ∂", "n" * 255, "-flag", "'quoted\"", "line\nbreak", "*?[x]", "%s{0}")
COPIES = {
    "cp": "cp -r {0} {1}",
    "tar": "tar -C {0} -cf {1}.tar . && mkdir {1} && tar -C {1} -xf {1}.tar",
    "gzip": "tar -C {0} -czf {1}.tgz . && mkdir {1} && tar -C {1} -xzf {1}.tgz",
}
POINTS = ("after-step", "after-temporary-directory", "before-manifest", "after-manifest", "before-rename", "after-rename")
# A server of files that renames nothing onto what exists: its client moves that away first, so that no rename is atomic.
SERVER = ("/usr/lib/openssh/sftp-server", "-P", "posix-rename")


class Places(Suite):
    """A run goes on wherever it lies and however it came there; one whose directory is gone says so and makes no other."""

    rows = "workdir with a hard name, behind a link, on sshfs, copied by programs, incompletely, removed while it trains"
    quick, full = 1, 80

    def inject(self, campaign: Campaign, count: int) -> None:
        """All kinds in turn."""
        for number in range(count):
            (_removed, _named, _copied, _remote)[number % 4](campaign, number // 4)


def _named(campaign: Campaign, number: int) -> None:
    name = NAMES[number % len(NAMES)]
    with campaign.trial(f"workdir {name[:20]!r}") as trial:
        folder, linked = campaign.new(), campaign.new()
        folder.mkdir()
        path = folder / name
        campaign.begun(STEPS - SAVE_EVERY).rename(path)
        linked.symlink_to(path)
        where = linked if number % 2 else path
    campaign.end(where, [trial])
    linked.unlink(missing_ok=True)


def _copied(campaign: Campaign, number: int) -> None:
    name = list(COPIES)[number % len(COPIES)]
    with campaign.trial(f"copied by {name}, then without a file") as trial:
        path, copy = campaign.begun(STEPS - SAVE_EVERY), campaign.new()
        subprocess.run(COPIES[name].format(path, copy), shell=True, check=True)
        trial.expect(contents(path) == contents(copy), "the copy differs")
        newest = max(campaign.saved(copy))
        files = sorted(file for file in (copy / "checkpoints" / str(newest)).rglob("*") if file.is_file())
        campaign.rng.choice(files).unlink()
        began = time.monotonic()
        try:
            manifest.verify(copy / "checkpoints", newest)
            trial.trust(False, "the missing file is not missed")
        except Failure as failure:
            trial.says(r"^error\[4\] step \d+ rejected: .*(is missing|no such file)", str(failure).lower())
        trial.seconds = time.monotonic() - began
        shutil.rmtree(path)
    campaign.end(copy, [trial])


def _removed(campaign: Campaign, number: int) -> None:
    path, point = campaign.begun(STEPS - 4 * SAVE_EVERY), POINTS[number % len(POINTS)]
    gone = path.with_name("gone")
    with campaign.trial(f"workdir removed at {point}") as trial:
        run = campaign.train(path, environment={VARIABLE: f"{point}:SIGSTOP:1"}).until_suspended()
        path.rename(gone)
        try:
            began = time.monotonic()
            os.kill(run.pid, signal.SIGCONT)
            code = run.wait()
            trial.seconds = time.monotonic() - began
            trial.expect(code == Code.WORKDIR, f"exit code {code}: {run.stderr[-1000:]}")
            trial.says(r"^error\[6\] checkpoint \S+ was not saved: no such file or directory", run.stderr)
            trial.expect(not path.exists(), f"made again: {sorted(map(str, path.rglob('*')))}")
        finally:
            shutil.rmtree(path, ignore_errors=True)
            gone.rename(path)
    campaign.end(path, [trial])


def _remote(campaign: Campaign, number: int) -> None:
    place, step = campaign.new(), STEPS - 3 * SAVE_EVERY + 1 + number % (2 * SAVE_EVERY)
    with mounted(place, _sshfs(place)) as there:
        if not there:
            campaign.note("sshfs or its server is not installed, or nothing can be mounted: it is left out")
            return
        path = Path(shutil.move(campaign.begun(STEPS - 3 * SAVE_EVERY), place / "run"))
        with campaign.trial(f"a workdir on sshfs without atomic renames, killed at step {step}") as trial:
            run = campaign.train(path).until(f"step {step}/")
            other = campaign.train(path)
            trial.expect(other.wait() == Code.WORKDIR, f"a second trainer: {other.stderr[-1000:]}")
            trial.says(r"^error\[6\] workdir \S+: in use by pid", other.stderr)
            began = time.monotonic()
            trial.expect(run.kill(signal.SIGKILL) == -signal.SIGKILL, f"not killed: {run.stderr[-1000:]}")
            campaign.killed(path, trial, run, began)
        campaign.end(path, [trial])


def _sshfs(place: Path) -> list[str]:
    """The command that mounts a directory at a path as one of another host is; one that fails where it cannot be."""
    store, shell = place.with_name(f"{place.name}.store"), place.with_name(f"{place.name}.sh")
    for folder in (place, store):
        folder.mkdir()
    shell.write_text(f"#!/bin/sh\nexec {' '.join(SERVER)}\n")
    shell.chmod(0o755)
    command = ["sshfs", "-o", f"ssh_command={shell},workaround=rename", f"host:{store}", str(place)]
    return command if shutil.which(command[0]) and Path(SERVER[0]).exists() else ["false"]


MEMBER = Places
