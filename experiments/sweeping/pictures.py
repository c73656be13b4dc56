"""The pictures of a sweep: lines along one axis, a grid for two, parallel coordinates for more."""

from collections.abc import Sequence
from pathlib import Path

from experiments.sweeping.groups import Group, scored_splits
from perceiver_jax.report.effects import Axis, Place, draw_grid, draw_lines, draw_parallel

NAMES = ("lines.png", "grid.png", "parallel.png")


def draw(workdir: Path, axes: Sequence[Axis], groups: Sequence[Group]) -> list[Path]:
    """The pictures written for these axes, as far as runs have come to their end. Raises OSError."""
    splits = scored_splits(groups)
    metrics = {outcome.point.metric for group in groups for outcome in group.outcomes}
    if not splits or not axes or len(metrics) > 1:  # scores of two metrics have no axis in common
        return []
    outcome = groups[0].outcomes[0]
    metric, title, folder = outcome.point.headline.replace("_", " "), workdir.name, workdir / "plots"
    judged = outcome.point.judged_split if outcome.point.judged_split in splits else splits[0]
    folder.mkdir(exist_ok=True)
    base = _base(axes, groups)
    drawn = []
    if base is not None:
        path = folder / NAMES[0]
        draw_lines([(axis, _along(axis, base, axes, groups, splits)) for axis in axes], path, title, metric)
        drawn.append(path)
    is_grid = len(axes) == 2 and 2 * len(groups) > len(axes[0].values) * len(axes[1].values)
    if base is None and is_grid:
        path = folder / NAMES[1]
        draw_grid(axes[0], axes[1], _scores(axes, groups, judged), path, title, f"{judged} {metric}")
        drawn.append(path)
    if base is None and not is_grid:
        path = folder / NAMES[2]
        draw_parallel(axes, _scores(axes, groups, judged), path, title, f"{judged} {metric}")
        drawn.append(path)
    return drawn


def _place(axes: Sequence[Axis], group: Group) -> Place:
    return tuple(axis.values.index(value) for axis, value in zip(axes, group.place, strict=True))


def _scores(axes: Sequence[Axis], groups: Sequence[Group], split: str) -> dict[Place, list[float]]:
    return {_place(axes, group): group.scores(split) for group in groups}


def _base(axes: Sequence[Axis], groups: Sequence[Group]) -> Place | None:
    """The place from which every other differs along one axis alone; None where there is none."""
    places = [_place(axes, group) for group in groups]
    for base in places:
        if all(sum(a != b for a, b in zip(base, place, strict=True)) <= 1 for place in places):
            return base
    return None


def _along(
    axis: Axis, base: Place, axes: Sequence[Axis], groups: Sequence[Group], splits: Sequence[str]
) -> dict[str, list[list[float]]]:
    """By split, the scores at each value of an axis, the others where the base has them."""
    which = list(axes).index(axis)
    found = {}
    for split in splits:
        scores = _scores(axes, groups, split)
        places = [(*base[:which], number, *base[which + 1 :]) for number in range(len(axis.values))]
        found[split] = [scores.get(place, []) for place in places]
    return found
