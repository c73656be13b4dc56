"""A sweep in tables and pictures: the plan before it begins, the summary at its end."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.sweeping import pictures, record, run
from experiments.sweeping.axes import CONFIG, Changes, Choice, Uniform
from experiments.sweeping.groups import Group, axes_of, groups_of, scored_splits
from experiments.sweeping.points import Base, Point, points_of
from experiments.sweeping.run import Outcome
from perceiver_jax.report import board as boards
from perceiver_jax.report.effects import Axis, mean_and_spread, text_of
from perceiver_jax.report.json_numbers import plain
from perceiver_jax.report.progress import note, say
from perceiver_jax.report.tables import markdown, quantity, table
from perceiver_jax.system import disk
from perceiver_jax.system.disk import write_atomically
from perceiver_jax.training import manifest

CSV, MARKDOWN = "summary.csv", "summary.md"
FACTS = ("step", "seconds", "parameters", "flops_per_example", "state_sha256")  # of result.json


def plan(base: Base, settings: Sequence[Changes], workdir: Path) -> None:
    """Prints the points of a sweep and what there is of them. Raises Failure as `run` does; writes nothing."""
    before = record.check(workdir, base)
    points = points_of(base, settings, workdir, note, before)
    record.compare(before, points, note)
    states = [_state(point) for point in points]
    changes = [", ".join(f"{name}={text_of(value)}" for name, value in point.changes.items()) or "-" for point in points]
    say(table(["point", "is", "changes"], list(zip([point.name for point in points], states, changes, strict=True))))
    done = states.count(boards.DONE)
    say(f"\n{len(points)} points, {done} done, {len(points) - done} to train in {workdir}")


def plan_search(settings: Sequence[Changes], workdir: Path, trials: int) -> None:
    """Prints the ranges of a search; writes nothing."""
    rows = [(name, _range(value)) for changes in settings for name, value in changes.items()]
    say(table(["field", "tried"], rows))
    say(f"\nup to {trials} trials in {workdir}, judged by validation examples")


def _range(value: Any) -> str:
    match value:
        case Uniform(low=low, high=high, log=log):
            return f"{text_of(low)} to {text_of(high)}{', logarithmic' if log else ''}"
        case Choice(values=values):
            return " | ".join(map(text_of, values))
    return f"always {text_of(value)}"


def _state(point: Point) -> str:
    """What a launch would find of a point."""
    outcome = run.finished(point)
    if outcome.state != boards.WAITING:
        return outcome.state
    steps = manifest.steps(point.workdir.checkpoints) if point.workdir.checkpoints.is_dir() else []
    words = [boards.RUNNING] if run.owner_of(point) else []
    words += [f"at step {max(steps):,}"] if steps else []
    return ", ".join(words) or "new"


def report(workdir: Path, outcomes: Sequence[Outcome]) -> None:
    """Prints the summary of a sweep, and writes it into its directory as CSV, Markdown and pictures."""
    axes = axes_of(outcomes)
    groups = groups_of(outcomes, axes)
    header, rows = _by_place(axes, groups)
    say(table(header, rows))
    try:
        drawn = pictures.draw(workdir, axes, groups)
        page = _markdown(workdir, header, rows, outcomes, drawn)
        for name, text in ((CSV, _csv(outcomes)), (MARKDOWN, page)):
            write_atomically(workdir / name, text.encode())
    except OSError as error:
        raise disk.unusable(f"workdir {workdir}", workdir, error) from error
    say("\n".join(map(str, [workdir / CSV, workdir / MARKDOWN, *drawn])))


def _by_place(axes: Sequence[Axis], groups: Sequence[Group]) -> tuple[list[str], list[list[Any]]]:
    """The table of what is at each place: its runs, and the mean of each split with the seeds' spread."""
    metrics = list(dict.fromkeys(outcome.point.headline for group in groups for outcome in group.outcomes))
    splits = scored_splits(groups)
    names = [", ".join(name.rpartition(".")[2] for name in (axis.name, *axis.with_it)) for axis in axes]
    header = [
        *(names or ["settings"]),
        "parameters",
        "FLOPs",
        "runs",
        *(f"{split} {' or '.join(metrics)}" for split in splits),
    ]
    rows = []
    for group in groups:
        done = sum(outcome.result is not None for outcome in group.outcomes)
        runs = f"{done}" if done == len(group.outcomes) else f"{done} of {len(group.outcomes)}"
        sizes = [_size(group, name) for name in ("parameters", "flops_per_example")]
        scores = [_score(group.scores(split)) for split in splits]
        rows.append([*(map(text_of, group.place) if axes else ["base"]), *sizes, runs, *scores])
    return header, rows


def _size(group: Group, name: str) -> str:
    """A count of result.json, as of the first run that has come to its end."""
    found = [outcome.result[name] for outcome in group.outcomes if outcome.result is not None]
    return quantity(found[0]) if found else "-"


def _score(scores: Sequence[float]) -> str:
    """The mean of those that are finite, with their spread, and how many are not."""
    finite = [score for score in scores if math.isfinite(score)]
    mean, spread = mean_and_spread(finite)
    words = [] if not finite else [f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} +- {spread:.4f}"]
    words += [f"{len(scores) - len(finite)} not finite"] if len(finite) < len(scores) else []
    return ", ".join(words) or "-"


def _csv(outcomes: Sequence[Outcome]) -> str:
    """A line for each run: its changes, how it ended, every metric of result.json."""
    changed = list(dict.fromkeys(name for outcome in outcomes for name in outcome.point.changes if name != CONFIG))
    results = [outcome.result or {"metrics": {}} for outcome in outcomes]
    metrics = dict.fromkeys((split, name) for one in results for split in one["metrics"] for name in one["metrics"][split])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["point", "config", *changed, "state", *FACTS, *(f"{split}/{name}" for split, name in metrics), "error"])
    for outcome, result in zip(outcomes, results, strict=True):
        changes = outcome.point.changes
        values = [_cell(changes[name]) if name in changes else "" for name in changed]
        numbers = [_cell(result["metrics"].get(split, {}).get(name, "")) for split, name in metrics]
        facts = [_cell(result.get(fact, "")) for fact in FACTS]
        writer.writerow([outcome.point.name, outcome.point.spec, *values, outcome.state, *facts, *numbers, outcome.error])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return (
        plain(value) if isinstance(value, float) else json.dumps(value) if isinstance(value, dict | list | tuple) else value
    )


def _markdown(workdir: Path, header: list[str], rows: list[list[Any]], outcomes: Sequence[Outcome], drawn: Any) -> str:
    """The summary as a page."""
    done = [outcome for outcome in outcomes if outcome.state == boards.DONE]
    lines = [f"# {workdir.name}", "", f"{len(done)} of {len(outcomes)} runs are done. What stands behind `+-` is the"]
    lines[-1] += " standard deviation of runs that differ in their seeds alone."
    scored = [outcome for outcome in done if outcome.score is not None and math.isfinite(outcome.score)]
    if len({outcome.point.metric for outcome in scored}) == 1:  # scores of two metrics are not compared
        best = max(scored, key=lambda outcome: outcome.score)
        split, metric = best.point.judged_split, best.point.headline.replace("_", " ")
        honest = "" if split == "validation" else ", selected on test data, so optimistic"
        lines[-1] += f" Best by {split} {metric}{honest}: `{best.point.name}`, {best.score:.4f}."
    lines += ["", markdown(header, rows)]
    lines += [line for path in drawn for line in ("", f"![{path.stem}]({path.relative_to(workdir)})")]
    lost = [one for one in done if one not in scored]
    if lost:
        lines += ["", "## Without a score", ""]
        lines += [f"- `{one.point.name}`: {one.point.judged_split} {one.point.headline} {one.score}" for one in lost]
    others = [outcome for outcome in outcomes if outcome.state != boards.DONE]
    if others:
        lines += ["", "## Not done", ""]
        lines += [f"- `{one.point.name}`: {one.state}{f': {one.error}' if one.error else ''}" for one in others]
    return "\n".join(lines) + "\n"
