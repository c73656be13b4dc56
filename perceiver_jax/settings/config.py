"""The typed, frozen view of a run's ConfigDict: every check that does not need data, before any array exists."""

import functools
import json
import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Union

import pydantic
from ml_collections import ConfigDict
from pydantic import Field, TypeAdapter, model_validator
from pydantic.fields import FieldInfo

from perceiver_jax import modalities, tasks
from perceiver_jax.baselines.config import Baseline
from perceiver_jax.data import sources
from perceiver_jax.data.config import DataConfig, ViewsConfig
from perceiver_jax.errors import Code, Failure
from perceiver_jax.members import kinds, member
from perceiver_jax.modalities import Modality
from perceiver_jax.model.config import InputSpec, PerceiverConfig
from perceiver_jax.section import HARMLESS, ONLY, Section, by_stream, of_stream
from perceiver_jax.settings import faults, tiny
from perceiver_jax.tasks import Task, TaskConfig
from perceiver_jax.training.config import MeshConfig, OptimConfig, TrainConfig

ROOMS = {"data": sources, "task": tasks}  # of the sections whose type their own `kind` decides


class Config(Section):
    """One run, every setting of it. `data`, `task` and `augment` have the types of their source, task and modalities."""

    seed: int
    task: pydantic.SerializeAsAny[TaskConfig]
    model: Annotated[PerceiverConfig | Baseline, Field(discriminator="kind")]
    data: pydantic.SerializeAsAny[DataConfig]
    views: ViewsConfig
    augment: by_stream(pydantic.SerializeAsAny[Section])
    optim: OptimConfig
    train: TrainConfig
    mesh: MeshConfig

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected an integer from 0 to 2^32 - 1, got {self.seed}")
        self._check_streams()
        self.model.check_inputs(self.inputs, self.mesh.inputs)
        batch_size, parts = self.data.batch_size, self.optim.accumulation_steps
        if batch_size % parts:
            near = math.gcd(parts, batch_size)
            raise ValueError(f"optim.accumulation_steps {parts} does not divide data.batch_size {batch_size}; try {near}")
        shards, micro_batch = self.mesh.virtual_shards, batch_size // parts
        if shards is not None and micro_batch % shards:
            whose = "data.batch_size" if parts == 1 else "data.batch_size / optim.accumulation_steps"
            raise ValueError(
                f"mesh.virtual_shards {shards} does not divide {whose} {micro_batch}; try {math.gcd(shards, micro_batch)}"
            )
        held_out, evaluated = self.data.validation_examples, self.train.eval_splits
        if (held_out > 0) != ("validation" in evaluated):
            splits = ("test",) if held_out == 0 else ("validation", "test")
            raise ValueError(
                f"train.eval_splits {evaluated} with data.validation_examples {held_out}: validation examples are evaluated"
                f" where there are any; try {splits}"
            )
        return self

    def _check_streams(self) -> None:
        """Raises ValueError for settings that do not fit examples of these streams."""
        views, dropout = self.views, self.views.stream_dropout
        unknown = sorted(dropout.keys() - self.modalities.keys())
        if unknown or (dropout and len(self.modalities) == 1) or sum(dropout.values()) > 1:
            names = ", ".join(self.modalities)
            raise ValueError(
                f"views.stream_dropout {dropout}: expected probabilities, together at most 1, for some of several streams;"
                f" the data have {names}"
            )
        most = {name: one.max_views for name, one in self.modalities.items() if one.max_views is not None}
        if most and views.num_evaluation > min(most.values()):
            name = min(most, key=most.get)
            raise ValueError(f"views.num_evaluation {views.num_evaluation}: stream {name} has {most[name]}")
        mixing = [name for name, one in self.modalities.items() if one.mixes]
        if mixing and len(self.modalities) > 1:
            raise ValueError(f"augment.{mixing[0]}.mix: examples of several streams cannot be mixed; try kind none")

    def source(self, left_out: Collection[str] = ()) -> sources.Source:
        """The data source, less files that are left out."""
        make = member(sources, self.data.kind, "data.kind")
        return make(self.data, left_out) if left_out else make(self.data)

    def task_of(self, classes: Collection[str]) -> Task:
        """What is learned from an example, where these are the classes."""
        return member(tasks, self.task.kind, "task.kind")(self.task, classes)

    @functools.cached_property
    def modalities(self) -> dict[str, Modality]:
        """The modality of each stream, by its name."""
        streams = sorted(self.source().streams(), key=lambda stream: stream.name)
        return {stream.name: _modality(stream)(stream, of_stream(self.augment, stream.name)) for stream in streams}

    @functools.cached_property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The streams as the model sees them, by name."""
        return tuple(input_spec(modality) for modality in self.modalities.values())

    @property
    def num_inputs(self) -> int:
        """M, the length of the input array."""
        return sum(math.prod(stream.grid) for stream in self.inputs)

    @property
    def input_channels(self) -> int:
        """C, the channels of the input array."""
        return self.model.input_channels(self.inputs)


def input_spec(modality: Modality) -> InputSpec:
    """A stream as the model sees it."""
    stream, coordinates = modality.stream, modality.num_coordinates
    return InputSpec(stream.name, tuple(stream.grid), stream.channels + coordinates, coordinates, stream.masked)


def _modality(stream: modalities.Stream) -> Any:
    """The class of a stream's Modality."""
    return member(modalities, stream.modality, f"modality of stream {stream.name}")


def with_variant(config: ConfigDict, variants: Mapping[str, Mapping[str, Any]], variant: str) -> ConfigDict:
    """The config with the lines that one of its variants changes: by dotted name a field's value, or a whole section.

    Raises Failure(CONFIG) naming the variants there are.
    """
    if variant not in variants:
        raise faults.unknown_value("variant", variant, list(variants))
    for name, value in variants[variant].items():
        *parents, leaf = name.split(".")
        section = config
        for part in parents:
            section = section[part]
        section[leaf] = ConfigDict(value) if isinstance(value, Mapping) else value
    return config


def parse(config: ConfigDict, shrink: bool = False, kept: Collection[str] = ()) -> Config:
    """The typed view of a ConfigDict; shrunk, but for the fields `kept`, it runs in seconds.

    Raises Failure(CONFIG) for the first unknown, missing, unused, ill-typed or contradictory field.
    """
    whole = _parse(config.to_dict())
    return _parse(tiny.shrunk(whole, kept)) if shrink else whole


def field(values: Mapping[str, Any], name: str) -> FieldInfo | None:
    """The declaration of a field by its dotted name, as far as the kinds in a config's values tell which it is."""
    first, *path = name.split(".")
    if first not in ROOMS:
        return faults.field(Config, [first, *path])
    room, given = ROOMS[first], values[first]
    known = isinstance(given, Mapping) and "kind" in given and given["kind"] in kinds(room)
    return faults.field(member(room, given["kind"], f"{first}.kind").Config, path) if known else None


def _parse(values: dict[str, Any]) -> Config:
    for name in values:
        if name not in Config.model_fields:
            raise faults.unknown_key(name, {*Config.model_fields, *faults.known_keys(values)} - {name})
    for name in (*ROOMS, "augment"):
        if name not in values:
            raise Failure(Code.CONFIG, f"missing key {name}", hint=faults.WRITTEN_OUT)
    fitted = {name: _fitted(name, room, values) for name, room in ROOMS.items()}
    streams = member(sources, fitted["data"].kind, "data.kind")(fitted["data"]).streams()
    return _validate(Config, values | fitted | {"augment": _augment(streams, values)}, (), values)


def _fitted(name: str, room: Any, values: Mapping[str, Any]) -> Section:
    """A section whose type is that of the member of a room which it names."""
    given = values[name]
    if not isinstance(given, Mapping) or "kind" not in given:
        raise faults.missing_tag(f"{name}.kind", given, {"data": DataConfig, "task": TaskConfig}[name].model_fields)
    return _validate(member(room, given["kind"], f"{name}.kind").Config, given, (name,), values, room)


def _augment(streams: Collection[modalities.Stream], values: Mapping[str, Any]) -> dict[str, Section]:
    """The settings of each stream's modality, as its own type."""
    given, names = values["augment"], [stream.name for stream in streams]
    if not _by_name(given, names):
        if len(streams) == 1:
            return {ONLY: _validate(_modality(next(iter(streams))).Augment, given, ("augment",), values)}
        each = ", ".join(f"augment.{name}" for name in names)
        raise Failure(Code.CONFIG, "augment: expected a section for each stream of the data", expected=each)
    for name in given:
        if name not in names:
            raise faults.unknown_key(f"augment.{name}", ["augment", *(f"augment.{stream}" for stream in names)])
    for name in names:
        if name not in given:
            raise Failure(Code.CONFIG, f"missing key augment.{name}", hint="each stream of the data has its own section")
    return {s.name: _validate(_modality(s).Augment, given[s.name], ("augment", s.name), values) for s in streams}


def _by_name(given: Any, names: Collection[str]) -> bool:
    """Whether settings are given by stream, perhaps under wrong names, and not in the short form."""
    if not isinstance(given, Mapping) or not given or "kind" in given:
        return False
    return any(name in given for name in names) or all(isinstance(value, Mapping) for value in given.values())


def read(values: Mapping[str, Any]) -> Config:
    """The typed view of the values that `dump` gave."""
    return parse(ConfigDict(_tuples(values)))


def dump(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, every field written out."""
    return config.model_dump(mode="json")


def lasting(config: Config) -> dict[str, str]:
    """The JSON text of each setting by its dotted name, without those that may change between the launches of one run."""
    return {name: json.dumps(value) for name, value in _lasting(config)}


def _lasting(value: Any, name: str = "") -> Any:
    prefix = f"{name}." if name else ""
    if isinstance(value, Section):
        for key, field in type(value).model_fields.items():
            if HARMLESS not in field.metadata:
                yield from _lasting(getattr(value, key), prefix + key)
    elif isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _lasting(inner, prefix + key if key != ONLY else name)
    else:
        yield name, value


def _validate(kind: Any, value: Any, at: tuple[str, ...], values: Mapping[str, Any], room: Any = None) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except pydantic.ValidationError as error:
        # A key of another member's section is reported as such, like that of another kind of any section.
        others = (member(room, name, "kind").Config for name in kinds(room)) if room is not None else ()
        raise faults.explain(Union[kind, *others], error, at, values) from None


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value
