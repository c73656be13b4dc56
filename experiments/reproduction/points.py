"""The configs of a table's points: what they come to, and what of a config decides a score."""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.tables import Point
from perceiver_jax.data import sources
from perceiver_jax.data.config import DataConfig, DirectoryConfig
from perceiver_jax.data.sources import Contents
from perceiver_jax.errors import Code, Failure
from perceiver_jax.members import member
from perceiver_jax.runs.problem import Problem, make
from perceiver_jax.settings import files, overrides
from perceiver_jax.settings.config import Config, lasting
from perceiver_jax.settings.overrides import Override

Key = frozenset[tuple[str, str]]

# What differs between runs whose scores belong together: chance, and how the machine does the same sums.
FREE = ("seed", "model.remat")


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
    """A point with its config."""

    point: Point
    config: Config
    problem: Problem | None  # None: its data are not there to say what they are

    @functools.cached_property
    def key(self) -> Key:
        """What its runs have in common."""
        return key_of(self.config)


def made(points: Sequence[Point], data_dir: str | None) -> list[Made]:
    """Points with their configs. Nothing is allocated.

    Data sets count as they were published, whatever part of them is on this machine; those that were not as they are here.
    Raises Failure(CONFIG) naming the point whose config is wrong.
    """
    known: dict[Any, Contents | None] = {}
    found = []
    for point in points:
        config = _config(point, data_dir)
        key = config.data, point.as_published
        if key not in known:
            known[key] = _contents(*key)
        found.append(Made(point, config, known[key] and make(config, known[key], fingerprint="")))
    return found


def _config(point: Point, data_dir: str | None) -> Config:
    """The config of a point; its Failure names the point."""
    try:
        return config_of(point, data_dir)
    except Failure as failure:
        where = "; ".join(filter(None, (failure.found, f"in {point.config} {dict(point.changes) or ''}".strip())))
        raise dataclasses.replace(failure, found=where) from None


def _contents(data: DataConfig, as_published: bool) -> Contents | None:
    """What data are, as they were published or as they are; None where they are not there to say it."""
    source = member(sources, data.kind, "data.kind")
    try:
        if as_published:
            return source(_moved(data, os.devnull)).contents()
        source(data).identity()  # fails where they are not there, which not all contents do
        return source(data).contents()
    except Failure as failure:
        if failure.code != Code.DATA:
            raise
        return None


def config_of(point: Point, data_dir: str | None = None) -> Config:
    """The config of a point, perhaps with its data elsewhere; raises Failure(CONFIG)."""
    file, colon, variant = point.config.partition(":")
    config = overrides.config_of(f"{files.shipped(file)}{colon}{variant}", as_overrides(point.changes), shrink=False)
    return config if data_dir is None else config.model_copy(update={"data": _moved(config.data, data_dir)})


def as_overrides(changes: Mapping[str, Any]) -> dict[str, Override]:
    """Changes as one would type them: text without quotes."""
    return {name: Override(value, value if isinstance(value, str) else repr(value)) for name, value in changes.items()}


def _moved(data: DataConfig, data_dir: str) -> DataConfig:
    """Data at another place, if they are in a directory."""
    return data.model_copy(update={"data_dir": data_dir}) if isinstance(data, DirectoryConfig) else data


def settings(config: Config) -> dict[str, str]:
    """The settings that decide a run's score, as JSON text by dotted name.

    Views of an evaluation may change between the launches of a run, and its score with them.
    """
    kept = {name: value for name, value in lasting(config).items() if name not in FREE}
    return kept | {"views.num_evaluation": str(config.views.num_evaluation)}


def key_of(config: Config) -> Key:
    """What two configs have in common that train the same model in the same way.

    With one cross-attend, those at the start and those that are interleaved are one: the order of the parts decides.
    """
    kept = settings(config)
    if kept.pop("model.arrangement", None) is not None:
        kept["model.schedule"] = repr(config.model.schedule)
    return frozenset(kept.items())


def differences(run: Config, wanted: Config) -> list[str]:
    """The settings in which a run differs from what is wanted, in words."""
    mine, its = settings(run), settings(wanted)
    names = [name for name in {**its, **mine} if mine.get(name) != its.get(name)]
    return [f"{name} {mine.get(name, '(none)')}, not {its.get(name, '(none)')}" for name in names]
