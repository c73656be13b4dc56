"""A campaign: the undisturbed run, the faults that are done to copies of it, and what each came to."""

import abc
import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from perceiver_jax.report.log import read_metrics
from perceiver_jax.training import manifest
from scripts.faults.processes import Launcher, Run
from scripts.faults.tiny import CONFIG, SAVE_EVERY, STEPS, TINY, problem_of

LEARNED = ("loss", "accuracy", "mean_class_accuracy", "top5", "grad_norm", "learning_rate")  # what no clock has a part in
KEPT = "--config.train.keep_checkpoints=100"  # of the undisturbed run: copies of it begin at any of its steps
START_SECONDS = 0.5  # of a process, before its run begins to count
SAVES_LOST = 2  # the most of whose steps may be lost: those of the save at work, and what has been done since


class Broken(Exception):
    """Something was not as promised."""


@dataclasses.dataclass
class Trial:
    """One fault and what it came to."""

    fault: str  # in words
    problem: str = ""  # what was not as promised; empty for a fault that was survived
    wrong: bool = False  # whether a run ended well with another result, or damage was used
    lost: int = 0  # steps that had to be done again
    leaked: int = 0  # bytes that nobody needs, left at the end
    seconds: float = 0.0  # from the fault to its report, or to the end of the process
    messages: int = 0  # that were as promised
    void: bool = False  # whether the fault came too late to be one

    def expect(self, holds: object, otherwise: str) -> None:
        """Raises Broken where something does not hold."""
        if not holds:
            raise Broken(otherwise)

    def trust(self, holds: object, otherwise: str) -> None:
        """Likewise for a result that is not right though nobody complained."""
        self.wrong = self.wrong or not holds
        self.expect(holds, otherwise)

    def says(self, pattern: str, text: str) -> None:
        """Checks a message; `pattern` may span lines."""
        self.expect(re.search(pattern, text, re.M | re.S), f"no {pattern!r} in: {text[-1000:]}")
        self.messages += 1


class Suite(abc.ABC):
    """Faults of one kind. A file in `scripts.faults.kinds` names its suite as its MEMBER."""

    rows: str  # what it shows, in words
    quick: int  # how many faults the tests do
    full: int  # how many the published table is of

    @abc.abstractmethod
    def inject(self, campaign: "Campaign", count: int) -> None:
        """Does `count` faults, each within `campaign.trial`."""


class Campaign:
    """What suites share. `directory` is filled with runs; `quiet` is that of a run by `make_quiet`."""

    def __init__(self, launcher: Launcher, directory: Path, quiet: Path, seed: int, note: Callable[[str], None]):
        self.launcher, self.directory, self.quiet, self.note = launcher, directory, quiet, note
        self.rng, self.trials, self.done = random.Random(seed), list[Trial](), lambda: None
        self._runs = 0

    def new(self) -> Path:
        """The workdir of a run that is not begun."""
        self._runs += 1
        return self.directory / f"run{self._runs}"

    def begun(self, step: int) -> Path:
        """The workdir of a run that was stopped after a step at which it saved."""
        path = self.new()
        shutil.copytree(self.quiet, path, ignore=lambda _, names: {"result.json", "report.html", "tensorboard"} & {*names})
        for later in manifest.steps(path / "checkpoints"):
            if not step - 2 * SAVE_EVERY <= later <= step:  # the last three
                shutil.rmtree(path / "checkpoints" / str(later))
        return path

    def train(self, path: Path, *settings: str, **how: Any) -> Run:
        """A launch of a tiny run."""
        return self.launcher.train(path, *TINY, *settings, **how)

    @contextlib.contextmanager
    def trial(self, fault: str) -> Iterator[Trial]:
        """Within, a fault is done and what follows is checked; what is not as promised ends the trial, not the campaign."""
        trial = Trial(fault)
        try:
            yield trial
        except (Broken, AssertionError) as broken:  # AssertionError: a run that hangs
            self.fail(trial, str(broken))
        finally:
            if not trial.void:
                self.trials.append(trial)
                self.done()

    def fail(self, trial: Trial, problem: str) -> None:
        """Notes why a fault was not survived."""
        trial.problem = trial.problem or problem
        self.note(f"NOT SURVIVED: {trial.fault}: {problem}")

    def end(
        self,
        path: Path,
        trials: Sequence[Trial],
        quiet: Path | None = None,
        settings: Sequence[str] = TINY,
        config: str = CONFIG,
    ) -> None:
        """Launches a run to its end, and judges by what it came to the faults that were done to it."""
        launched = self.launcher.train(path, *settings, config=config)
        if launched.wait():
            for trial in trials:
                self.fail(trial, f"the run does not end well: {launched.stderr[-1000:]}")
        else:
            self.judge(path, trials, quiet)
        shutil.rmtree(path.resolve(), ignore_errors=True)  # it may be a link; sshfs may hide what is still open

    def judge(self, path: Path, trials: Sequence[Trial], quiet: Path | None = None) -> None:
        """The same for a run that is at its end."""
        quiet = quiet or self.quiet
        trials[-1].leaked += sum(size for name, size in leftovers(path, quiet).items())
        wrong = differences(path, quiet)
        for trial in trials if wrong else ():
            trial.wrong = True
            self.fail(trial, wrong)

    def killed(self, path: Path, trial: Trial, run: Run, stopped: float, every: int = SAVE_EVERY) -> None:
        """Takes down what a process that has just been killed has lost; `stopped` is when, by time.monotonic."""
        trial.seconds = time.monotonic() - stopped
        self.count_lost(path, trial, run, every)

    def count_lost(self, path: Path, trial: Trial, run: Run, every: int = SAVE_EVERY) -> None:
        """Takes down the steps that a run at its end has told and has not saved: they have to be done again.

        `every` is the number of steps between saves.
        """
        steps = self.saved(path)
        for step in steps:
            manifest.verify(path / "checkpoints", step)  # half a step never has its name
        self.lose(trial, run, max(steps, default=0), every)

    def lose(self, trial: Trial, run: Run, saved: int, every: int = SAVE_EVERY) -> None:
        """The same for a run whose newest whole step is known."""
        trial.lost = max(0, self.told(run) - saved)
        most = SAVES_LOST * every
        trial.expect(trial.lost <= most, f"{trial.lost} steps lost, more than {most}")

    def num_calls(self, path: Path, layer: Sequence[Any]) -> int:
        """How many calls a launch on `path` makes, as a layer that does nothing to them counts; removes the run."""
        self.train(path, layer=layer).wait()
        shutil.rmtree(path)
        return int(Path(f"{path}.calls").read_text())

    @staticmethod
    def told(run: Run) -> int:
        """The last step that a run has told."""
        return max(map(int, re.findall(r"^step (\d+)/", run.stderr, re.M)), default=0)

    @cached_property
    def seconds(self) -> float:
        """How long a whole run takes here, roughly, once its programs are compiled."""
        times = result_of(self.quiet)["time"]
        return START_SECONDS + times["launch"] - times["compile"]

    @staticmethod
    def saved(path: Path) -> list[int]:
        """The steps that a run has saved."""
        return manifest.steps(path / "checkpoints")

    @cached_property
    def programs(self) -> Any:
        """The Programs of the tiny run, in this process."""
        from perceiver_jax.runs.programs import Programs

        return Programs(problem_of(*TINY))


def make_quiet(launcher: Launcher, path: Path, settings: Sequence[str] = TINY, config: str = CONFIG) -> None:
    """A run that nobody disturbs, with all its checkpoints."""
    launcher.finish(path, *settings, KEPT, config=config)
    assert manifest.steps(path / "checkpoints") == list(range(SAVE_EVERY, STEPS + 1, SAVE_EVERY))


def result_of(path: Path) -> dict[str, Any]:
    """What a run came to."""
    return json.loads((path / "result.json").read_text())


def learned(path: Path) -> dict[tuple[int, str], dict[str, float]]:
    """What a run has logged of what it learned, by step and split."""
    return {
        (record["step"], record["split"]): {name: record[name] for name in LEARNED if name in record}
        for record in read_metrics(path / "metrics.jsonl")
    }


def differences(path: Path, quiet: Path) -> str:
    """What a run that has come to its end has other than the undisturbed one, in words; empty for nothing."""
    ours, expected = (result_of(each)["state_sha256"] for each in (path, quiet))
    if ours != expected:
        return f"state_sha256 {ours}, expected {expected}"
    if learned(path) != learned(quiet):
        return "metrics.jsonl has other numbers"
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    keys = [(line["step"], line["split"]) for line in lines]
    if len(keys) != len(set(keys)):
        return "metrics.jsonl repeats records"
    newest = manifest.newest_valid(path / "checkpoints", set_aside=False)
    return "" if newest and newest[1].state_sha256 == expected else "the last checkpoint is not of the last step"


def leftovers(path: Path, quiet: Path) -> dict[str, int]:
    """The bytes, by name, that a run holds at its end beyond the undisturbed one's, logs and what was set aside."""

    def files(root: Path) -> dict[str, int]:
        found = {str(one.relative_to(root)): one.lstat().st_size for one in root.rglob("*") if not one.is_dir()}
        own = {
            name
            for name in found
            if re.match(r"checkpoints/\d+/(arrays/|manifest\.json)|tensorboard/|checkpoints/\d+\.rejected", name)
        }
        return {name: size for name, size in found.items() if name not in own}

    mine = files(path)
    return {name: mine[name] for name in mine.keys() - files(quiet).keys()}


def contents(root: Path) -> dict[str, Any]:
    """All that is at and below a path, by name: kinds of files, links, contents."""
    found = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        held = path.read_bytes() if stat.S_ISREG(status.st_mode) else os.readlink(path) if path.is_symlink() else None
        found[str(path.relative_to(root))] = stat.S_IFMT(status.st_mode), held
    return found
