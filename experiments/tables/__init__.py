"""The paper's tables and the sweeps of its figures, one file each, whose TABLE has the rows. Adding one is adding a file.

A file's name is what `experiments.reproduce --table` takes, without a leading `table`. Pages are those of
arXiv 2103.03206 v2, scores in percent. Parameters and FLOPs stand here only as the paper prints them, to be compared with
what is counted.
"""

import dataclasses
import hashlib
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

from perceiver_jax.errors import Code, Failure, nearest, printable


@dataclasses.dataclass(frozen=True)
class Point:
    """A config and what a run changes of it, but for the seed."""

    config: str  # of configs/, as `imagenet:table6_at_start_2`
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # by dotted name
    as_published: bool = True  # whether its data are a published set; False: whatever is in the config's data_dir

    @property
    def path(self) -> str:
        """The config as the command line names it: FILE.py[:VARIANT]."""
        file, colon, variant = self.config.partition(":")
        return f"configs/{file}.py{colon}{variant}"

    @property
    def name(self) -> str:
        """A short name of its own: that of the config, and of changes a hash."""
        digest = hashlib.sha256(repr(sorted(self.changes.items())).encode()).hexdigest()[:8]
        return self.config.replace(":", "_") + (f"-{digest}" if self.changes else "")


@dataclasses.dataclass(frozen=True)
class Row:
    """One score of a table."""

    name: str
    point: Point | None  # what fills it; None: a model of others, of which this project has none
    paper: float | str | None = None  # percent, or the word in its place; None: the paper prints no number
    column: str = ""  # whose score it is, in tables of several columns
    parameters: str = ""  # as the paper prints them: 44.9M
    flops: str = ""  # of one example's forward pass, as the paper prints them: 707.2B
    split: str = "test"  # whose score it is; ImageNet's validation set is `test`
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # the paper's other columns
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Score:
    """A row's score, or how far it is above the same runs' score of another column: by how much a model overfits."""

    row: str
    column: str = ""
    above: str | None = None  # a column


@dataclasses.dataclass(frozen=True)
class Claim:
    """What the paper says, and two scores of which one is above the other if it is so."""

    words: str  # the paper's sentence in ours
    higher: Score
    lower: Score
    alike: bool = False  # whether the paper says that the two do not differ


@dataclasses.dataclass(frozen=True)
class Study:
    """The rows of a table at one scale."""

    title: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...] = (0,)
    best_by_test: bool = False  # whether the authors report the best of a run's evaluations, by that very score
    note: str = ""
    claims: tuple[Claim, ...] = ()

    def points(self) -> list[Point]:
        """What is to be trained, each once, in the rows' order."""
        return list({row.point.name: row.point for row in self.rows if row.point is not None}.values())


@dataclasses.dataclass(frozen=True)
class Table:
    """A table or figure of the paper, or one of another's own."""

    full: Study  # on the paper's data
    small: Study | None = None  # its question on data that run on a laptop: a table of its own
    page: int | None = None  # None: not of the paper


def both_splits(points: Mapping[str, Point], held_out: str = "test") -> tuple[Row, ...]:
    """Two rows of each point by its name, which show whether it overfits; `held_out` is the test split's column."""
    splits = {held_out: "test", "train": "train"}
    return tuple(Row(name, one, column=of, split=split) for name, one in points.items() for of, split in splits.items())


def overfits(words: str, more: str, less: str, held_out: str = "test") -> Claim:
    """The claim that of two rows of `both_splits` one is further above its test score on train."""
    scores = (Score(row, "train", above=held_out) for row in (more, less))
    return Claim(f"{words} (train less test)", *scores)


def figure(page: int, config: str, changes: Sequence[Mapping[str, Any]], small: Study) -> Table:
    """A figure that draws the scores of a config under some changes and prints none."""
    title = "ImageNet, top-1 accuracy on the validation set in percent"
    note = "the paper draws curves without numbers and does not say which values: they are ours"
    rows = tuple(Row(named(one), Point(config, one)) for one in changes)
    return Table(page=page, full=Study(title, rows, note=note), small=small)


def named(changes: Mapping[str, Any]) -> str:
    """What a point changes, in words: `num_latents 64`; the base changes nothing."""
    shown = {name.rpartition(".")[2]: value for name, value in changes.items()}
    if "num_blocks" in shown and len(shown) > 1:  # follows another setting
        del shown["num_blocks"]
    return ", ".join(f"{name} {_short(value)}" for name, value in shown.items()) or "base"


def _short(value: Any) -> str:
    return "x".join(f"{size:g}" for size in value) if isinstance(value, tuple) else f"{value}"


def names() -> list[str]:
    """What `--table` takes."""
    return sorted(modules())


def known(name: str) -> str:
    """The name of a table as `names` has it, for `6`, `table6` or `figure 5`.

    Raises Failure(CONFIG) naming those there are, the nearest first, for any other.
    """
    there = names()
    asked = name.strip().lower().replace(" ", "").replace("figure", "fig").removeprefix("table")
    if asked not in there:
        near = nearest(asked, there, likeness=0.5)
        expected, hint = f"one of {', '.join(there)}", f"--table {near}" if near else ""
        raise Failure(Code.CONFIG, f"no table {printable(repr(name), 60)}", expected=expected, hint=hint)
    return asked


def load(name: str) -> Table:
    """A table by one of the `names`."""
    return importlib.import_module(f"{__name__}.{modules()[name]}").TABLE


def origin(name: str, scale: str) -> str:
    """What a table's runs are made from: its file and the scale."""
    return f"experiments/tables/{modules()[name]}.py:{scale}"


def modules() -> dict[str, str]:
    """The file of each table, by its name."""
    return {module.name.removeprefix("table"): module.name for module in pkgutil.iter_modules(__path__)}
