"""The configs of a table's points: what they come to, and what of a config decides a score."""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.tables import Point
from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs.problem import Problem, make
from perceiver_jax.settings import files, overrides
from perceiver_jax.settings.config import Config, lasting
from perceiver_jax.settings.overrides import Override

Key = frozenset[tuple[str, str]]

# What differs between runs whose scores belong together: chance, and how the machine does the same sums.
FREE = ("seed", "mesh.model", "mesh.inputs", "model.remat")


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
    """A point with its config."""

    point: Point
    config: Config
    problem: Problem | None  # with the published data, or those that are there; None: its data are needed and not there

    @functools.cached_property
    def key(self) -> Key:
        """What its runs have in common."""
        return key_of(self.config)


def made(points: Sequence[Point], published: bool, data_dir: str | None) -> list[Made]:
    """Points with their configs. Nothing is allocated.

    `published` takes the data sets as they were published, where they were, whatever part of them is on this machine.
    Raises Failure(CONFIG) naming the point whose config is wrong.
    """
    return [_made(point, published, data_dir) for point in points]


def _made(point: Point, published: bool, data_dir: str | None) -> Made:
    try:
        config = config_of(point, data_dir)
    except Failure as failure:
        where = "; ".join(filter(None, (failure.found, f"in {point.config} {dict(point.changes) or ''}".strip())))
        raise dataclasses.replace(failure, found=where) from None
    for counted in [*([_moved(config, os.devnull)] if published else []), config]:
        try:
            return Made(point, config, make(config, counted.source().contents(), fingerprint=""))
        except Failure as failure:
            if failure.code != Code.DATA:
                raise
    return Made(point, config, None)


def config_of(point: Point, data_dir: str | None = None) -> Config:
    """The config of a point, perhaps with its data elsewhere; raises Failure(CONFIG)."""
    file, colon, variant = point.config.partition(":")
    config = overrides.config_of(f"{files.shipped(file)}{colon}{variant}", as_overrides(point.changes), shrink=False)
    return config if data_dir is None else _moved(config, data_dir)


def as_overrides(changes: Mapping[str, Any]) -> dict[str, Override]:
    """Changes as one would type them: text without quotes."""
    return {name: Override(value, value if isinstance(value, str) else repr(value)) for name, value in changes.items()}


def _moved(config: Config, data_dir: str) -> Config:
    """The config with its data elsewhere, where they are in a directory."""
    if not isinstance(config.data, DirectoryConfig):
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"data_dir": data_dir})})


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
