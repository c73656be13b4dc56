"""Which runs below a directory fill which point, which have begun to, and which only resemble one."""

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.reproduction.points import Key, Made, differences, key_of
from perceiver_jax.errors import Failure, some
from perceiver_jax.runs.past import PastRun
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.workdir import read_origin, read_problem
from perceiver_jax.training.checkpoint import code_version
from perceiver_jax.training.manifest import newest_fingerprints

SHOWN = 3  # settings named of a run that differs in more

Note = Callable[[str], None]
this_code = functools.cache(code_version)  # reads all sources


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run of a point that has come to its end."""

    path: Path
    seed: int
    metrics: Mapping[str, Mapping[str, float]]  # by split, at its last step
    best_by_test: float | None  # its headline metric at the step where that is best on the test split
    examples: int  # that it has trained on, repeated ones counted every time
    problem: Problem  # with what its data are
    seconds: float | None
    code: str  # the version of the package; "" where no checkpoint says it

    @property
    def is_of_other_code(self) -> bool:
        """Whether a version other than this one trained it, or none is known."""
        return self.code != this_code()

    @property
    def is_scored(self) -> bool:
        """Whether each of its splits has a finite headline metric."""
        headline = self.problem.task.headline
        return all(headline in numbers and _number(numbers[headline]) is not None for numbers in self.metrics.values())


@dataclasses.dataclass
class Survey:
    """What the runs below a directory are to a study, by the key of its points."""

    finished: dict[Key, list[Finished]]  # one of each seed
    begun: dict[Key, list[tuple[int, str]]]  # seed, and in words how far it has come
    near: list[str]  # runs that fill no row though they look like it, and why
    count: int = 0  # of all runs that could be read


def survey(runs: Iterable[PastRun], points: Sequence[Made], elsewhere: Callable[[], Iterable[Made]], note: Note) -> Survey:
    """What runs are to these points.

    `elsewhere` gives the points of other studies: their runs are not told. Runs whose end cannot be read go to `note`.
    """
    by_key = {point.key: point for point in points}
    found = Survey({key: [] for key in by_key}, {key: [] for key in by_key}, [])
    others: list[PastRun] = []
    for run in runs:
        found.count += 1
        key = key_of(run.config)
        if key not in by_key:
            others += [run] if any(_alike(run, point) for point in points) else []
            continue
        try:
            _place(run, by_key[key], found)
        except Failure as failure:
            note(f"note: left out {run.workdir.path}: {failure}")
    foreign = {point.key for point in elsewhere()} if others else set()
    found.near += [_resembles(run, points) for run in others if key_of(run.config) not in foreign]
    found.finished = {key: _each_seed_once(runs, found.near) for key, runs in found.finished.items()}
    return found


def _place(run: PastRun, point: Made, found: Survey) -> None:
    """Puts a run with a point's settings where it belongs. Raises Failure(CHECKPOINT) where its files are damaged."""
    path, seed, result = run.workdir.path, run.config.seed, run.result
    origin = read_origin(run.workdir)
    if origin is not None:
        found.near.append(f"{path}: began with the parameters of {origin.run}")
        return
    if result is None or "unwritten" in result:
        found.begun[point.key].append((seed, f"{path}: {_progress(run)}"))
        return
    problem = read_problem(run.workdir, run.config)
    if result["step"] != problem.num_steps:
        found.begun[point.key].append((seed, f"{path}: at step {result['step']:,} of {problem.num_steps:,}"))
    elif point.problem is not None and len(problem.classes) != len(point.problem.classes):
        words = f"its data have {len(problem.classes):,} classes, not {len(point.problem.classes):,}"
        found.near.append(f"{path}: {words}")
    else:
        found.finished[point.key].append(_finished(run, problem, result))


def _finished(run: PastRun, problem: Problem, result: Mapping[str, Any]) -> Finished:
    best = result.get("best_by_test", {}).get("test", {})
    return Finished(
        path=run.workdir.path,
        seed=run.config.seed,
        metrics=result["metrics"],
        best_by_test=_number(best.get(problem.task.headline)),
        examples=result["step"] * run.config.data.batch_size,
        problem=problem,
        seconds=_number(result.get("seconds")),
        code=newest_fingerprints(run.workdir.checkpoints).get("code", ""),
    )


def _number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _progress(run: PastRun) -> str:
    """How far a run without a result has come."""
    if run.result is not None:
        return "its end is not written"
    steps = [record["step"] for record in run.records()]
    return f"at step {max(steps):,}" if steps else "not begun"


def _alike(run: PastRun, point: Made) -> bool:
    """Whether a run is of the data and the kind of model of a point."""
    return (run.config.data.kind, run.config.model.kind) == (point.config.data.kind, point.config.model.kind)


def _resembles(run: PastRun, points: Sequence[Made]) -> str:
    """What a run changes of the point that is most like it."""
    changed = {i: differences(run.config, point.config) for i, point in enumerate(points) if _alike(run, point)}
    nearest = min(changed, key=lambda i: (len(changed[i]), i))
    words = some(changed[nearest], SHOWN, f"and {len(changed[nearest]) - SHOWN} more")
    tiny = "--tiny, " if "--tiny" in run.command else ""
    return f"{run.workdir.path}: as {points[nearest].point.config} but for {tiny}{words}"


def _each_seed_once(runs: Sequence[Finished], near: list[str]) -> list[Finished]:
    """One run of each seed on the largest data that runs have; what is left out is told.

    Those with scores come first, then those of this code.
    """
    if not runs:
        return []
    counts = collections.Counter(run.problem.fingerprint for run in runs)
    sizes = {run.problem.fingerprint: (run.problem.num_examples["train"], counts[run.problem.fingerprint]) for run in runs}
    data = max(sizes, key=lambda name: sizes[name])
    kept: dict[int, Finished] = {}
    for run in sorted(runs, key=lambda run: (not run.is_scored, run.is_of_other_code, str(run.path))):
        if run.problem.fingerprint != data:
            words = f"{run.problem.num_examples['train']:,} training examples, the other runs of its row {sizes[data][0]:,}"
            near.append(f"{run.path}: on other data: {words}")
        elif run.seed in kept:
            near.append(f"{run.path}: seed {run.seed} of its row is {kept[run.seed].path}")
        else:
            kept[run.seed] = run
    return [kept[seed] for seed in sorted(kept)]
