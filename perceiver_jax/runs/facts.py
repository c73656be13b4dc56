"""What the workdir of a past run tells for its page: all of it where the run has ended, what there is where it has not."""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from perceiver_jax import tasks
from perceiver_jax.errors import Failure, printable
from perceiver_jax.members import member
from perceiver_jax.report.curves import shown
from perceiver_jax.report.log import Log, read_log
from perceiver_jax.report.page.facts import Row, RunFacts, Scores, Table
from perceiver_jax.report.selection import reported_split
from perceiver_jax.report.tables import duration, quantity
from perceiver_jax.runs import kept
from perceiver_jax.runs import launches as of_launches
from perceiver_jax.runs.past import PastRun
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.workdir import earlier_configs, read_origin, read_problem
from perceiver_jax.runs.written import differences, settings
from perceiver_jax.training.manifest import Manifest

LONGEST_PATH = 4096  # letters


def facts_of(run: PastRun, name: str) -> RunFacts:
    """All that a page says of a run, under this name. The lock is not looked at: to open it would end its owner's hold."""
    notes: list[str] = []
    workdir, config, result = run.workdir, run.config, run.result
    log = read_log(workdir.metrics) if workdir.metrics.exists() else Log([], 0, 0)
    problem = _problem(run, notes.append)
    headline = member(tasks, config.task.kind, "task.kind").headline
    found = of_launches.launches(workdir)
    differ = differences(config, run.command, workdir.path)
    steps, newest = kept.checkpoints(workdir)
    scores = list(_scores(log, result))
    unwritten = list(result["unwritten"]) if result and "unwritten" in result else []
    state, finished = _state(log, result, problem)
    return RunFacts(
        name=name,
        path=printable(os.path.abspath(workdir.path), LONGEST_PATH),
        state=state,
        finished=finished,
        headline=_headline(scores, headline),
        about=_about(run, problem, log),
        log=log,
        scores=scores,
        baselines=problem.baselines if problem else {},
        by_class=list(kept.by_class(workdir, notes.append)),
        pictures=kept.pictures(workdir),
        changed_from=differ.words,
        changes=differ.changes,
        settings=settings(config),
        costs=list(_costs(log, result, steps)),
        parts=list(kept.parts(workdir, notes.append)),
        checkpoints=steps,
        launches=of_launches.table(found),
        faults=list(of_launches.faults(workdir, found, log, unwritten)),
        versions=_versions(newest),
        command=command_text(run.command),
        repeats=_repeats(run, result),
        notes=notes,
    )


def command_text(command: Sequence[str]) -> str:
    """A recorded command as one types it, in the directory it names first where that is known."""
    program = Path(command[0]) if command else Path()
    if program.suffix == ".py" and program.parent.name == "experiments":
        words = shlex.join(["python", "-m", f"experiments.{program.stem}", *command[1:]])
        return f"cd {shlex.quote(str(program.parent.parent))}\n{words}" if program.is_absolute() else words
    return shlex.join(command)


def _problem(run: PastRun, note: Callable[[str], None]) -> Problem | None:
    try:
        return read_problem(run.workdir, run.config)
    except Failure as failure:
        note(f"{failure.what} {failure.where}: the classes and the length of the run are not known")
        return None


def _state(log: Log, result: Mapping[str, Any] | None, problem: Problem | None) -> tuple[str, bool]:
    """How far a run has come, in words, and whether that is its end."""
    of = problem.num_steps if problem else None
    if result is not None and of in (None, result["step"]):
        return f"finished, {result['step']:,} steps", True
    step = max((record["step"] for record in log.records), default=0)
    whole = f" of {of:,} ({100 * step / of:.0f} %)" if of else ""
    return f"not finished: logged up to step {step:,}{whole}", False


def _scores(log: Log, result: Mapping[str, Any] | None) -> Iterator[Scores]:
    """The last evaluation of each split, and those of the best steps."""
    newest = {record["split"]: record for record in log.records if record["split"] != "train"}
    for split, record in newest.items():
        yield Scores(f"step {record['step']:,}", split, _numbers(record))
    for split, numbers in (result["metrics"] if result else {}).items():
        if split not in newest and split != "train":  # the log has lost it
            yield Scores(f"step {result['step']:,}", split, _numbers(numbers))
    for name in ("best_by_validation", "best_by_test"):
        for split, numbers in (result[name] if result and name in result else {}).items():
            if isinstance(numbers, dict):
                words = f"{name.replace('_', ' ')}, step {result[name]['step']:,}"
                yield Scores(
                    words + (" (selected on test data)" if name == "best_by_test" else ""), split, _numbers(numbers)
                )


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a record."""
    return {
        name: float(value)
        for name, value in record.items()
        if name not in ("step", "split") and isinstance(value, int | float)
    }


def _section(result: Mapping[str, Any] | None, name: str) -> dict[str, float]:
    """The numbers of a part of a result; runs of earlier versions have none."""
    return _numbers(result[name]) if result and name in result else {}


def _headline(scores: Sequence[Scores], metric: str) -> Row | None:
    last = {one.split: one.metrics for one in scores if one.of.startswith("step") and metric in one.metrics}
    if not last:
        return None
    split = reported_split(last)
    return f"{split} {metric.replace('_', ' ')}", shown(metric, last[split][metric])


def _about(run: PastRun, problem: Problem | None, log: Log) -> list[Row]:
    config, model = run.config, run.config.model
    rows = [("model", model.kind), ("data", config.data.kind), ("task", config.task.kind.replace("_", " "))]
    if problem is not None:
        grids = {spec.name: "x".join(map(str, spec.grid)) for spec in problem.inputs}
        rows += [("inputs", ", ".join(f"{name} {grid}" for name, grid in grids.items()))]
        rows += [("classes", f"{len(problem.classes):,}")]
        rows += [(f"{split} examples", f"{count:,}") for split, count in problem.num_examples.items()]
    if run.result is not None:
        rows += [(name, quantity(run.result[key])) for name, key in _SIZES.items() if key in run.result]
    rows += [("optimiser", config.optim.kind), ("length", config.train.duration), ("seed", str(config.seed))]
    seconds = _seconds(log, run.result)
    return [*rows, *([("time", duration(seconds))] if seconds else [])]


_SIZES = {"parameters": "parameters", "FLOPs an example, forward": "flops_per_example"}


def _seconds(log: Log, result: Mapping[str, Any] | None) -> float:
    """Of the run so far, all its launches together."""
    logged = [record["seconds"] for record in log.records if isinstance(record.get("seconds"), float)]
    return result["seconds"] if result and "seconds" in result else max(logged, default=0.0)


def _costs(log: Log, result: Mapping[str, Any] | None, steps: Table) -> Iterator[Row]:
    """Time, rates and sizes, as far as they are logged."""
    seconds = _seconds(log, result)
    if seconds:
        yield "time of the run, all launches", duration(seconds)
    training = [record for record in log.records if record["split"] == "train"]
    first = training[0] if training else {}
    if isinstance(first.get("seconds"), float):
        yield f"until step {first['step']:,} was logged, compilation included", duration(first["seconds"])
    for metric in ("examples_per_second", "steps_per_second", "data_wait_fraction"):
        values = [record[metric] for record in training if isinstance(record.get(metric), float)]
        if values:
            fraction = metric.endswith("fraction")
            words = "time waiting for data" if fraction else metric.replace("_", " ")
            yield f"{words}, median", shown(metric, median(values)) if fraction else f"{median(values):,.4g}"
    for what, spent in _section(result, "time").items():
        yield f"{what.replace('_', ' ')}, of the last launch", f"{spent:,.3g} s"
    for where, size in _section(result, "peak_memory_bytes").items():
        yield f"peak memory of the {where}, bytes", f"{size:,.0f}"
    for name, key in _SIZES.items():
        if result and key in result:
            yield name, f"{result[key]:,}"
    sizes = [row[1] for row in steps.rows if isinstance(row[1], int)]
    if sizes:
        yield "size of a checkpoint, bytes", f"{sizes[-1]:,}"


def _versions(newest: Manifest | None) -> list[Row]:
    """With what the newest checkpoint was made."""
    if newest is None:
        return []
    prints = newest.fingerprints
    known = [name for name in ("code", "numerics", "data", "config") if name in prints]
    state = [("newest checkpoint", f"step {newest.step:,}"), ("its state_sha256", newest.state_sha256)]
    return [*((name, prints[name]) for name in known), *state]


def _repeats(run: PastRun, result: Mapping[str, Any] | None) -> str:
    """What comes of the command."""
    words = ["In this workdir it resumes the run, or says that it is done; with another --workdir it repeats it."]
    if result and "state_sha256" in result:
        words.append(f"With the versions above it must end with state_sha256 {result['state_sha256']}.")
    earlier, origin = earlier_configs(run.workdir, run.config), read_origin(run.workdir)
    if earlier:
        lengths = ", ".join(config.train.duration for config in earlier)
        words.append(f"The run was made longer on the way; its earlier lengths: {lengths}.")
    if origin is not None:
        words.append(f"It began with the parameters of {origin.run}, step {origin.step:,}.")
    return " ".join(words)
