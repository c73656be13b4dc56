"""The outcomes of a sweep by what its points differ in: axes, and for each place along them the runs with their seeds."""

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.sweeping.axes import CONFIG
from experiments.sweeping.run import Outcome
from perceiver_jax.report.effects import Axis
from perceiver_jax.settings.config import dump

SEED = "seed"


@dataclasses.dataclass(frozen=True)
class Group:
    """The runs at one place, which differ in their seeds alone."""

    place: tuple[Any, ...]  # the value along each axis
    outcomes: tuple[Outcome, ...]

    def scores(self, split: str) -> list[float]:
        """The headline metric on a split, of the runs that have come to their end and have it."""
        results = [(outcome.result, outcome.point.headline) for outcome in self.outcomes if outcome.result is not None]
        return [result["metrics"][split][metric] for result, metric in results if split in result["metrics"]]


def axes_of(outcomes: Sequence[Outcome]) -> list[Axis]:
    """What points differ in, seeds apart; fields that change together are one axis.

    That they do is known where some of their values come again: of points that all differ in two fields, both are axes.
    """
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.point.changes if name != SEED)
    together: dict[Any, list[str]] = {}
    for name in names:
        keys = [_key(value_of(outcome, name)) for outcome in outcomes]
        pattern = tuple(keys.index(key) for key in keys)
        comes_again = len(set(keys)) < len(keys)
        if len(set(keys)) > 1:
            together.setdefault(pattern if comes_again else tuple(keys), []).append(name)
    return [_axis(outcomes, *fields) for fields in together.values()]


def _axis(outcomes: Sequence[Outcome], name: str, *with_it: str) -> Axis:
    values = [value_of(outcome, name) for outcome in outcomes]
    distinct = tuple(dict(zip(map(_key, values), values, strict=True)).values())
    axis = Axis(name, distinct, with_it)
    return Axis(name, tuple(sorted(distinct)), with_it) if axis.is_number else axis


def groups_of(outcomes: Sequence[Outcome], axes: Sequence[Axis]) -> list[Group]:
    """The runs at each place along the axes, in the order of the list."""
    found: dict[str, list[Outcome]] = collections.defaultdict(list)
    places = {}
    for outcome in outcomes:
        place = tuple(value_of(outcome, axis.name) for axis in axes)
        places[_key(place)] = place
        found[_key(place)].append(outcome)
    return [Group(places[key], tuple(runs)) for key, runs in found.items()]


def value_of(outcome: Outcome, name: str) -> Any:
    """The value of a field in the config of a point, changed by it or not; None where it has no such field."""
    point = outcome.point
    if name == CONFIG:
        return point.spec.partition(":")[2] or point.spec
    value: Any = dump(point.config)
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def scored_splits(groups: Sequence[Group]) -> list[str]:
    """The splits that runs were evaluated on at their end, validation first."""
    results = [outcome.result for group in groups for outcome in group.outcomes if outcome.result is not None]
    found = {split for result in results for split in result["metrics"]} - {"train"}
    return sorted(found, key=lambda split: (split != "validation", split))


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)
