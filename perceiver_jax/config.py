"""The typed, frozen view of a run's ConfigDict: every check at the door, before any array exists."""

import importlib
import math
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pydantic
from ml_collections import ConfigDict
from pydantic import TypeAdapter, model_validator
from pydantic.fields import FieldInfo

import perceiver_jax.data.sources
from perceiver_jax import config_faults
from perceiver_jax.data.config import DataConfig, Spec, split_sizes
from perceiver_jax.errors import Code, Failure
from perceiver_jax.model.config import FourierPositions, LearnedPositions, PerceiverConfig
from perceiver_jax.section import Section, Tiny, duration_steps
from perceiver_jax.training.config import MeshConfig, OptimConfig, TrainConfig


class Config(Section):
    """One run, every setting of it. `data` and `augment` have the types that the data source and its modality give them."""

    seed: int
    model: PerceiverConfig
    data: pydantic.SerializeAsAny[DataConfig]
    augment: pydantic.SerializeAsAny[Section]
    optim: OptimConfig
    train: TrainConfig
    mesh: MeshConfig

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected an integer from 0 to 2^32 - 1, got {self.seed}")
        grid, positions = self.spec.shape[:-1], self.model.positions
        if isinstance(positions, FourierPositions) and len(positions.max_resolution) != len(grid):
            raise ValueError(
                f"model.positions.max_resolution {positions.max_resolution}: expected one number for each of the"
                f" {len(grid)} axes of {self.data.source}'s {'x'.join(map(str, grid))} inputs"
            )
        heads = self.model.num_cross_attend_heads
        if self.input_channels % heads:
            fits = [n for n in range(1, self.input_channels + 1) if self.input_channels % n == 0]
            raise ValueError(
                f"model.num_cross_attend_heads {heads} does not divide the {self.input_channels} input channels; try"
                f" {min(fits, key=lambda n: abs(n - heads))}"
            )
        batch_size, parts = self.data.batch_size, self.optim.accumulation_steps
        if batch_size % parts:
            raise ValueError(f"optim.accumulation_steps {parts} does not divide data.batch_size {batch_size}")
        if split_sizes(self.data, self.spec)["train"] < 1:
            whole = self.spec.num_examples["train"]
            raise ValueError(f"data.validation_examples {self.data.validation_examples}: split train has {whole} examples")
        return self

    @property
    def spec(self) -> Spec:
        """What the data source says it holds."""
        return source_module(self.data.source).spec(self.data)

    @property
    def num_inputs(self) -> int:
        """M, the length of the input array."""
        return math.prod(self.spec.shape[:-1])

    @property
    def input_channels(self) -> int:
        """C, the channels of the input array: features, then positions."""
        positions = self.model.positions
        if isinstance(positions, FourierPositions):
            return self.spec.shape[-1] + len(positions.max_resolution) * (2 * positions.num_bands + 1)
        return self.spec.shape[-1] + (positions.channels if isinstance(positions, LearnedPositions) else 0)

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
    names = sorted(module.name for module in pkgutil.iter_modules(perceiver_jax.data.sources.__path__))
    if name not in names:
        raise config_faults.unknown_value("data.source", name, names)
    return importlib.import_module(f"perceiver_jax.data.sources.{name}")


def parse(config: ConfigDict, tiny: bool = False) -> Config:
    """The typed view of a ConfigDict; with `tiny`, shrunk until it runs in seconds.

    Raises Failure(CONFIG) for the first unknown, missing, unused, ill-typed or contradictory field.
    """
    values = config.to_dict()
    given = values.get("data")
    if not isinstance(given, Mapping) or not isinstance(given.get("source"), str):
        raise Failure(Code.CONFIG, "missing key data.source", hint="name a module of perceiver_jax/data/sources")
    source = source_module(given["source"])
    data = _section("data", source.Config, values, tiny)
    modality = importlib.import_module(f"perceiver_jax.modalities.{source.spec(data).modality}")
    sections = {"data": data, "augment": _section("augment", modality.AugmentConfig, values, tiny)}
    if tiny:
        values = _shrink(Config, values)
        model = values["model"]  # fewer channels may no longer split into as many heads
        model["num_self_attend_heads"] = math.gcd(model["latent_channels"], model["num_self_attend_heads"])
    return _validate(Config, values | sections, (), config.to_dict())


def read(values: Mapping[str, Any]) -> Config:
    """The typed view of the values that `dump` gave."""
    return parse(ConfigDict(_tuples(values)))


def dump(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, every field written out."""
    return config.model_dump(mode="json")


def _section(name: str, kind: Any, values: Mapping[str, Any], tiny: bool) -> Section:
    """A section whose type the data source decides."""
    if name not in values:
        raise Failure(Code.CONFIG, f"missing key {name}", hint=config_faults.WRITTEN_OUT)
    given = _shrink(kind, values[name]) if tiny else values[name]
    return _validate(kind, given, (name,), values)


def _validate(kind: Any, value: Any, at: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except pydantic.ValidationError as error:
        raise config_faults.explain(kind, error, at, values) from None


def _shrink(kind: Any, value: Any) -> Any:
    """A section's values with every `Tiny` of its fields applied; what is no valid value stays as it is."""
    section = config_faults.variant(config_faults.members(kind), value)
    if section is None or not isinstance(value, Mapping):
        return value
    fields = section.model_fields
    return {name: _shrink_field(fields[name], inner) if name in fields else inner for name, inner in value.items()}


def _shrink_field(field: FieldInfo, value: Any) -> Any:
    for limit in (item.value for item in field.metadata if isinstance(item, Tiny)):
        if isinstance(limit, str):
            return limit
        if isinstance(value, tuple):
            return tuple(min(number, limit) for number in value)
        return min(value, limit) if isinstance(value, int | float) else value
    return _shrink(field.annotation, value)


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value
