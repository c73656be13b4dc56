"""What a run learns: a config together with what its data are. Made once from both, and stored with the run.

A stored problem is all that predictions, maps and embeddings need besides a checkpoint; the data may have moved, changed or
gone. Whoever reads the data again compares them with it.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import Field

from perceiver_jax import modalities
from perceiver_jax.data.batch import masked_streams
from perceiver_jax.data.examples import DataSet
from perceiver_jax.data.sources import Contents
from perceiver_jax.errors import Code, Failure, nearest_first
from perceiver_jax.members import member
from perceiver_jax.modalities import Modality, Stream
from perceiver_jax.model.config import InputSpec
from perceiver_jax.section import duration_steps, of_stream
from perceiver_jax.settings.config import Config, input_spec
from perceiver_jax.tasks import Task

FORMAT = 3  # of what a run stores; 1 had no problem file, 2 neither what is up in clouds nor whether pictures are turned
READS_FORMAT_1 = "perceiver_jax 0.1.0"
T = TypeVar("T", bound=pydantic.BaseModel)


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """A config and what its data are."""

    config: Config
    streams: tuple[Stream, ...]  # by name
    classes: tuple[str, ...]
    num_examples: Mapping[str, int]  # of each split of the run
    baselines: Mapping[str, float]  # scores of simple models on the test split
    left_out: tuple[str, ...]  # files of the data that could not be read when the run began
    masked: tuple[str, ...]  # streams of which some example has fewer inputs than the grid, or may be given none
    fingerprint: str  # of the data: 16 hexadecimal digits

    @functools.cached_property
    def modalities(self) -> dict[str, Modality]:
        """The modality of each stream, by its name."""
        found = {}
        for stream in self.streams:
            make = member(modalities, stream.modality, f"modality of stream {stream.name}")
            found[stream.name] = make(stream, of_stream(self.config.augment, stream.name))
        return found

    @functools.cached_property
    def task(self) -> Task:
        """What is learned from an example."""
        return self.config.task_of(self.classes)

    @functools.cached_property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The streams as the model sees them."""
        return tuple(input_spec(modality) for modality in self.modalities.values())

    @property
    def mixes(self) -> bool:
        """Whether each slot of a training batch is made of two examples."""
        return any(modality.mixes for modality in self.modalities.values())

    @functools.cached_property
    def data(self) -> DataSet:
        """The run's examples, read from where the config says the data are."""
        config = self.config
        source = config.source(self.left_out)
        check_classes(self.classes, source.contents().classes)
        numbers = tuple(self.classes.index(name) for name in source.contents().classes)
        made = self.modalities, self.task, self.num_examples, numbers, self.masked
        return DataSet(config.data, config.views, source, *made)

    def picture_of(self, path: Path, stream: str) -> Path:
        """Where a picture of one stream is written: at `path`; with several streams, at that name and the stream's."""
        return path if len(self.streams) == 1 else path.with_stem(f"{path.stem}_{stream}")

    def steps(self, duration: str) -> int:
        """The steps in one of the run's durations; epochs count the examples that are trained on."""
        return duration_steps(duration, self.config.data.batch_size, self.num_examples["train"])

    @property
    def num_steps(self) -> int:
        """The length of the run in updates."""
        return self.steps(self.config.train.duration)


def resolve(config: Config, left_out: Collection[str] = (), masked: Collection[str] | None = None) -> Problem:
    """A config with what its data are, less files that are left out.

    `masked` are the streams of which some example has fewer inputs than the grid; None: all that may.

    Raises Failure: DATA where the data are not there, CONFIG where they are too few for it.
    """
    source = config.source(left_out)
    contents = source.contents()
    return make(config, contents, _fingerprint(config, source.identity(), contents), left_out, masked)


def make(
    config: Config,
    contents: Contents,
    fingerprint: str,
    left_out: Collection[str] = (),
    masked: Collection[str] | None = None,
) -> Problem:
    """A config with given contents of its data; raises Failure: DATA without any to train on, CONFIG with too few for it."""
    held_out, published = config.data.validation_examples, contents.num_examples
    if published["train"] < 1:
        raise Failure(Code.DATA, "nothing to train on", found=f"split train has {published['train']} usable examples")
    sizes = {**published, "train": published["train"] - held_out}
    if sizes["train"] < 1:
        what = f"data.validation_examples {held_out}: split train has {published['train']} examples"
        raise Failure(Code.CONFIG, what, expected="fewer, so that some are left to train on")
    return Problem(
        config=config,
        streams=tuple(modality.stream for modality in config.modalities.values()),
        classes=contents.classes,
        num_examples={**sizes, "validation": held_out} if held_out else sizes,
        baselines=contents.baselines,
        left_out=tuple(sorted(left_out)),
        masked=_masked(config, masked),
        fingerprint=fingerprint,
    )


def _masked(config: Config, found: Collection[str] | None) -> tuple[str, ...]:
    """The streams that have masks: all where one that is dropped is masked, otherwise those `found`, or all that may."""
    if config.views.dropped == "masked" and len(config.modalities) > 1:
        return tuple(config.modalities)
    return tuple(sorted(masked_streams(config.modalities) if found is None else found))


def _fingerprint(config: Config, identity: str, contents: Contents) -> str:
    """16 hexadecimal digits of the source's kind, what identifies its contents, classes and sizes of the splits."""
    held_out = config.data.validation_examples
    parts = [config.data.kind, identity, contents.classes, sorted(contents.num_examples.items()), held_out]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def dump(problem: Problem) -> dict[str, Any]:
    """A problem but for its config, as plain JSON values."""
    return {
        "format": FORMAT,
        "streams": [stream.model_dump(mode="json") for stream in problem.streams],
        "classes": list(problem.classes),
        "num_examples": dict(problem.num_examples),
        "baselines": dict(problem.baselines),
        "left_out": list(problem.left_out),
        "masked": list(problem.masked),
        "fingerprint": problem.fingerprint,
    }


def load(config: Config, values: Mapping[str, Any]) -> Problem:
    """The problem of a config from the values that `dump` gave; raises ValueError for anything else."""
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, expected {FORMAT}")
    stored = _checked(_Stored, values, "")
    if not stored.num_examples.get("train"):
        raise ValueError("num_examples: none of train")
    streams = []
    for given in stored.streams:
        kind = member(modalities, given["modality"], "modality")
        lists = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        streams.append(_checked(kind.Stream, lists, "stream: "))
    if [stream.name for stream in streams] != list(config.modalities):
        raise ValueError(f"streams {[stream.name for stream in streams]}, config has {list(config.modalities)}")
    return Problem(
        config=config,
        streams=tuple(streams),
        classes=tuple(stored.classes),
        num_examples=stored.num_examples,
        baselines=stored.baselines,
        left_out=tuple(stored.left_out),
        masked=tuple(stored.masked),
        fingerprint=stored.fingerprint,
    )


class _Stored(pydantic.BaseModel):
    """The form of what `dump` gives; streams are of their modalities' own."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    format: int
    streams: list[dict[str, Any]]
    classes: Annotated[list[str], Field(min_length=1)]
    num_examples: dict[str, Annotated[int, Field(ge=0)]]
    baselines: dict[str, float]
    left_out: list[str]
    masked: list[str]
    fingerprint: str


def _checked(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """The values as a `kind`; raises ValueError, with the field."""
    try:
        return kind.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{what}{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None


def differences(stored: Problem, found: Problem) -> list[str]:
    """What has changed of the data since a run began, in words; empty where nothing has."""
    if stored.fingerprint == found.fingerprint:
        return []
    words = []
    gone = [name for name in stored.classes if name not in found.classes]
    new = [name for name in found.classes if name not in stored.classes]
    words += [f"class {name} is gone" for name in gone[:5]] + [f"class {name} is new" for name in new[:5]]
    more = len(gone[5:]) + len(new[5:])
    words += [f"and {more} more classes"] if more else []
    for split in sorted({*stored.num_examples, *found.num_examples}):
        before, now = (sizes.get(split, 0) for sizes in (stored.num_examples, found.num_examples))
        words += [f"{split} has {now:,} examples, had {before:,}"] if before != now else []
    return words or ["other files, or other labels or sizes of the same files"]


def check_same(stored: Problem, found: Problem) -> None:
    """Raises Failure(DATA), with what has changed, where a run cannot resume with the data that are there."""
    changed = differences(stored, found)
    if changed:
        hint = "the data that the run began with (--config.data.data_dir=DIR where they have moved), or a new --workdir"
        what, where = "the data are not those that the run began with", found.config.data.where
        raise Failure(Code.DATA, what, where, "; ".join(changed), hint=hint)


def check_classes(known: Collection[str], found: Collection[str]) -> None:
    """Raises Failure(DATA) where the data have a class that the run does not know."""
    for name in found:
        if name not in known:
            gone = "; ".join(f"class {other} is gone" for other in known if other not in found)
            what, hint = f"the run was not trained on class {name}", "give its folder the name that it had"
            raise Failure(Code.DATA, what, found=gone, expected=f"one of {', '.join(nearest_first(name, known))}", hint=hint)
