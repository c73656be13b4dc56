"""The typed, frozen view of a run's ConfigDict: every check at the door, before any array exists."""

import dataclasses
import importlib
import json
import math
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, Any, Union

import pydantic
from ml_collections import ConfigDict
from pydantic import Field, TypeAdapter, model_validator
from pydantic.fields import FieldInfo

import perceiver_jax.data.sources
from perceiver_jax.baselines.config import Baseline
from perceiver_jax.data.config import DataConfig, Spec, split_sizes
from perceiver_jax.data.examples import modality_of
from perceiver_jax.errors import Code, Failure
from perceiver_jax.model.config import InputSpec, PerceiverConfig
from perceiver_jax.section import HARMLESS, Section, Tiny, duration_steps
from perceiver_jax.settings import faults as config_faults
from perceiver_jax.training.config import MeshConfig, OptimConfig, TrainConfig


class Config(Section):
    """One run, every setting of it. `data` and `augment` have the types that the data source and its modality give them."""

    seed: int
    model: Annotated[PerceiverConfig | Baseline, Field(discriminator="kind")]
    data: pydantic.SerializeAsAny[DataConfig]
    augment: pydantic.SerializeAsAny[Section]
    optim: OptimConfig
    train: TrainConfig
    mesh: MeshConfig

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected an integer from 0 to 2^32 - 1, got {self.seed}")
        self.model.check_inputs(self.inputs, self.mesh.inputs)
        batch_size, parts = self.data.batch_size, self.optim.accumulation_steps
        if batch_size % parts:
            raise ValueError(f"optim.accumulation_steps {parts} does not divide data.batch_size {batch_size}")
        if split_sizes(self.data, self.spec)["train"] < 1:
            whole = self.spec.num_examples["train"]
            raise ValueError(f"data.validation_examples {self.data.validation_examples}: split train has {whole} examples")
        held_out, evaluated = self.data.validation_examples, self.train.eval_splits
        if (held_out > 0) != ("validation" in evaluated):
            splits = ("test",) if held_out == 0 else ("validation", "test")
            raise ValueError(
                f"train.eval_splits {evaluated} with data.validation_examples {held_out}: validation examples are evaluated"
                f" where there are any; try {splits}"
            )
        return self

    @property
    def spec(self) -> Spec:
        """What the data source says it holds, as the model sees it: with the coordinates that `augment` adds to `shape`."""
        spec = source_module(self.data.source).spec(self.data)
        *grid, channels = spec.shape
        return dataclasses.replace(spec, shape=(*grid, channels + modality_of(spec).num_coordinates(self.augment)))

    @property
    def num_coordinates(self) -> int:
        """How many of the last channels of an example's features are coordinates that it brings with it."""
        return modality_of(self.spec).num_coordinates(self.augment)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The streams of inputs, as the model sees them."""
        *grid, num_features = self.spec.shape
        return (InputSpec(self.spec.modality, tuple(grid), num_features, self.num_coordinates),)

    @property
    def num_inputs(self) -> int:
        """M, the length of the input array."""
        return sum(spec.num_inputs for spec in self.inputs)

    @property
    def input_channels(self) -> int:
        """C, the channels of the input array."""
        return self.model.input_channels(self.inputs)

    def steps(self, duration: str) -> int:
        """The steps in one of this run's durations; epochs count the examples that are trained on."""
        return duration_steps(duration, self.data.batch_size, split_sizes(self.data, self.spec)["train"])

    @property
    def num_steps(self) -> int:
        """The length of the run in updates."""
        return self.steps(self.train.duration)


def source_module(name: str) -> ModuleType:
    """The module of the data source `name`; each file in `data/sources` is one.

    Raises Failure(CONFIG) naming the sources there are.
    """
    names = source_names()
    if name not in names:
        raise config_faults.unknown_value("data.source", name, names)
    return importlib.import_module(f"perceiver_jax.data.sources.{name}")


def source_names() -> list[str]:
    """The data sources there are."""
    return sorted(module.name for module in pkgutil.iter_modules(perceiver_jax.data.sources.__path__))


def with_variant(config: ConfigDict, variants: Mapping[str, Mapping[str, Any]], variant: str) -> ConfigDict:
    """The config with the lines that one of its variants changes: by dotted name a field's value, or a whole section.

    Raises Failure(CONFIG) naming the variants there are.
    """
    if variant not in variants:
        raise config_faults.unknown_value("variant", variant, list(variants))
    for name, value in variants[variant].items():
        *parents, leaf = name.split(".")
        section = config
        for part in parents:
            section = section[part]
        section[leaf] = ConfigDict(value) if isinstance(value, Mapping) else value
    return config


def parse(config: ConfigDict, tiny: bool = False) -> Config:
    """The typed view of a ConfigDict; with `tiny`, shrunk until it runs in seconds.

    Raises Failure(CONFIG) for the first unknown, missing, unused, ill-typed or contradictory field.
    """
    whole = _parse(config.to_dict())
    return _parse(_shrunk(whole)) if tiny else whole


def _parse(values: dict[str, Any]) -> Config:
    for name in values:
        if name not in Config.model_fields:
            raise config_faults.unknown_key(name, {*Config.model_fields, *config_faults.known_keys(values)} - {name})
    for name in ("data", "augment"):
        if name not in values:
            raise Failure(Code.CONFIG, f"missing key {name}", hint=config_faults.WRITTEN_OUT)
    given = values["data"]
    if not isinstance(given, Mapping) or "source" not in given:
        raise config_faults.missing_tag("data.source", given, DataConfig.model_fields)
    source = source_module(str(given["source"]))
    data = _validate(source.Config, given, ("data",), values)
    augment = _validate(modality_of(source.spec(data)).AugmentConfig, values["augment"], ("augment",), values)
    return _validate(Config, values | {"data": data, "augment": augment}, (), values)


def read(values: Mapping[str, Any]) -> Config:
    """The typed view of the values that `dump` gave."""
    return parse(ConfigDict(_tuples(values)))


def dump(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, every field written out."""
    return config.model_dump(mode="json")


def lasting(config: Section) -> dict[str, str]:
    """The JSON text of each setting by its dotted name, without those that may change between the launches of one run."""
    values = config.model_dump(mode="json")
    found = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            found |= {f"{name}.{inner}": text for inner, text in lasting(value).items()}
        elif HARMLESS not in field.metadata:
            found[name] = json.dumps(values[name])
    return found


def _validate(kind: Any, value: Any, at: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except pydantic.ValidationError as error:
        # A key of another data source is told as such, like that of another kind of any section.
        known = Union[*(source_module(name).Config for name in source_names())] if at == ("data",) else kind
        raise config_faults.explain(known, error, at, values) from None


def _shrunk(config: Config) -> dict[str, Any]:
    """The values of a config with every `Tiny` applied, and of what then no longer divides as much as does."""
    values = _shrink(config)
    values["model"], optim = config.model.shrunk(values["model"]), values["optim"]
    optim["accumulation_steps"] = math.gcd(values["data"]["batch_size"], optim["accumulation_steps"])
    return values


def _shrink(section: Section) -> dict[str, Any]:
    """A section's values with the `Tiny` of each of its fields applied."""
    return {name: _shrink_field(field, getattr(section, name)) for name, field in type(section).model_fields.items()}


def _shrink_field(field: FieldInfo, value: Any) -> Any:
    if isinstance(value, Section):
        return _shrink(value)
    if isinstance(value, Mapping):
        return {name: _shrink(inner) for name, inner in value.items()}
    for limit in (item.value for item in field.metadata if isinstance(item, Tiny)):
        if isinstance(limit, str):
            return limit
        return tuple(min(number, limit) for number in value) if isinstance(value, tuple) else min(value, limit)
    return value


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value
