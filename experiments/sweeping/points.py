"""The points of a sweep: which runs it has, where they are, and what of them there is already."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.sweeping.axes import CONFIG, Changes, Choice, Uniform
from experiments.sweeping.names import NAME_BYTES, folded, names_of, overrides, plain, shown, with_hash
from perceiver_jax import tasks
from perceiver_jax.errors import Code, Failure, some
from perceiver_jax.members import member
from perceiver_jax.runs.past import read_result
from perceiver_jax.runs.workdir import Workdir, read_config
from perceiver_jax.settings import files
from perceiver_jax.settings.config import Config, dump, lasting
from perceiver_jax.settings.overrides import Override, config_of

SHOWN = 5  # points named in a message


class Base(NamedTuple):
    """What all points begin from: a config file with its variant, what is changed of it for all, whether it is tiny."""

    spec: str
    given: Mapping[str, Override]
    tiny: bool


@dataclasses.dataclass(frozen=True)
class Point:
    """One run of a sweep."""

    name: str
    spec: str  # config file, with a variant after a colon
    changes: Changes
    config: Config
    workdir: Workdir

    @property
    def settings(self) -> str:
        """The SHA-256 of what it learns from and how: a run with other settings is another point."""
        return _sha256(lasting(self.config))

    @property
    def headline(self) -> str:
        """The metric that its task is judged by."""
        return member(tasks, self.config.task.kind, "task.kind").headline

    @property
    def judged_split(self) -> str:
        """The split that tells points apart: the validation split where there is one."""
        return "validation" if "validation" in self.config.train.eval_splits else "test"

    @property
    def metric(self) -> str:
        """What it is judged by: `validation accuracy`."""
        return f"{self.judged_split} {self.headline}"

    @property
    def log(self) -> Path:
        """What its launches print."""
        return self.workdir.path / "log.txt"

    def result(self) -> dict[str, Any] | None:
        """What it has come to; None before its end. Raises Failure(CHECKPOINT) for a damaged result."""
        found = read_result(self.workdir)
        return found if found and "unwritten" not in found else None


def read_sweep(path: Path) -> list[Changes]:
    """What the runs of a sweep file change. Raises Failure(CONFIG), naming the line, for one that cannot be used."""
    found = files.call(path, "sweep", "get_sweep")
    if not isinstance(found, list) or not found or not all(map(_is_changes, found)):
        what = "get_sweep must return a list of one dictionary or more, with dotted names as keys"
        raise Failure(Code.CONFIG, f"sweep {path}", what)
    return [{name: plain(value) for name, value in changes.items()} for changes in found]


def _is_changes(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def has_ranges(changes: Changes) -> bool:
    """Whether it has values that a search is to find."""
    return any(isinstance(value, Uniform | Choice) for value in changes.values())


def points_of(
    base: Base,
    settings: Sequence[Changes],
    workdir: Path,
    note: Callable[[str], None],
    before: Sequence[Mapping[str, Any]],
    common: Collection[str] | None = None,
    names: Sequence[str] | None = None,
) -> list[Point]:
    """The points with these changes, each settings once: what is there twice is told.

    Where no `names` are given, they leave out what is the same in all, or the fields in `common`. A run stays
    where it is: `before` are the records of points there have been. One whose directory holds a run with other settings gets
    another directory.
    Raises Failure(CONFIG) for a wrong setting.
    """
    common = _common(settings) if common is None else common
    named = [{field: value for field, value in changes.items() if field not in common} for changes in settings]
    found, twice = {}, []  # by settings: where those are that a file says more than once
    for changes, name in zip(settings, names or names_of(named), strict=True):
        spec = _spec(base.spec, changes)
        point = Point(name, spec, changes, _config(base, spec, changes, name), Workdir(workdir / name))
        first = found.setdefault(_sha256(dump(point.config)), point)
        if first is not point:
            twice.append(f"{name} is {first.name}" if name != first.name else f"{name} twice")
    if twice:
        what = f"{len(twice)} of {len(settings)} points have the settings of another, trained once"
        note(f"note: {what}: {some(twice, SHOWN, f'and {len(twice) - SHOWN} more')}")
    return _placed(list(found.values()), workdir, before)


def _common(settings: Sequence[Changes]) -> set[str]:
    """The fields that all of several points change to one value."""
    first, *others = settings
    return {name for name in first if others and all(name in one and one[name] == first[name] for one in others)}


def _placed(points: Sequence[Point], workdir: Path, before: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Each point in the directory that holds its run already, whatever it was called then, or in a free one."""
    names: dict[int, str] = {}  # by the point's place in the list
    for candidates in (_own, lambda point: _earlier(point, before), _free):
        for i, point in enumerate(points):
            used = set(map(folded, names.values()))
            for name in candidates(point) if i not in names else ():
                there = occupant(Workdir(workdir / name))
                if folded(name) not in used and (there == point.settings or (candidates is _free and there is None)):
                    names[i] = name
                    break
    return [dataclasses.replace(p, name=names[i], workdir=Workdir(workdir / names[i])) for i, p in enumerate(points)]


def _own(point: Point) -> list[str]:
    return [point.name]


def _earlier(point: Point, before: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the run of a point may have been called in another list of points."""
    recorded = [one["name"] for one in before if one["settings_sha256"] == point.settings]
    names = [*recorded, shown(point.changes), with_hash(point.name, point.settings)]
    return [name for name in names if len(name.encode()) <= NAME_BYTES]


def _free(point: Point) -> list[str]:
    return [point.name, with_hash(point.name, point.settings), with_hash(point.name, _sha256(dump(point.config)))]


def occupant(workdir: Workdir) -> str | None:
    """The settings of the run in a directory; None where none has come to a first step."""
    if not workdir.config.exists() or workdir.is_untrained:
        return None
    try:
        return _sha256(lasting(read_config(str(workdir.path))))
    except Failure:  # the launch of that point will say so
        return ""


def _spec(spec: str, changes: Changes) -> str:
    """The config file of a point: that of the sweep, or one that it names itself."""
    if CONFIG not in changes:
        return spec
    own = changes[CONFIG]
    if not isinstance(own, str):
        raise Failure(Code.CONFIG, f"config: expected FILE.py, FILE.py:VARIANT or :VARIANT, got {own!r}")
    return spec.partition(":")[0] + own if own.startswith(":") else own


def _config(base: Base, spec: str, changes: Changes, name: str) -> Config:
    """The config of a point; raises Failure, with its name."""
    try:
        return config_of(spec, {**base.given, **overrides(changes)}, base.tiny)
    except Failure as failure:
        found = "; ".join(filter(None, (failure.found, f"in run {name}")))
        raise dataclasses.replace(failure, found=found) from None


def _sha256(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
