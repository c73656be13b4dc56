"""The typed, frozen view of a run's ConfigDict: every check at the door, before any array exists."""

import importlib
import math
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import pydantic
from ml_collections import ConfigDict
from pydantic import TypeAdapter, model_validator

import perceiver_jax.data.sources
from perceiver_jax.data.config import DataConfig, Spec
from perceiver_jax.errors import Code, Failure, nearest
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
        if self.data.batch_size % self.optim.accumulation_steps:
            raise ValueError(
                f"optim.accumulation_steps {self.optim.accumulation_steps} does not divide data.batch_size {self.data.batch_size}"
            )
        examples = self.spec.num_examples["train"] - self.data.validation_examples
        if examples < self.data.batch_size:
            raise ValueError(f"data.batch_size {self.data.batch_size}: split train has {max(examples, 0)} examples")
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
        num_examples = self.spec.num_examples["train"] - self.data.validation_examples
        return duration_steps(duration, self.data.batch_size, num_examples)

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
        raise _unknown_value("data.source", name, names)
    return importlib.import_module(f"perceiver_jax.data.sources.{name}")


def parse(config: ConfigDict, tiny: bool = False) -> Config:
    """The typed view of a ConfigDict; with `tiny`, shrunk until it runs in seconds.

    Raises Failure(CONFIG) for the first unknown, missing, unused, ill-typed or contradictory field.
    """
    values = config.to_dict()
    data = values.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("source"), str):
        raise Failure(Code.CONFIG, "missing key data.source", hint="name a module of perceiver_jax/data/sources")
    source = source_module(data["source"])
    sections = {"data": source.Config, "augment": _augment_type(source, data)}
    if tiny:
        values = _shrink(values, sections)
    for name, section in sections.items():
        values[name] = _validate(section, values[name], (name,), values) if name in values else None
        if values[name] is None:
            raise Failure(Code.CONFIG, f"missing key {name}")
    return _validate(Config, values, (), config.to_dict())


def read(values: Mapping[str, Any]) -> Config:
    """The typed view of the values that `dump` gave."""
    return parse(ConfigDict(_tuples(values)))


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def dump(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, every field written out."""
    return config.model_dump(mode="json")


def _augment_type(source: ModuleType, data: Mapping[str, Any]) -> Any:
    """The type of the section `augment`: that of the source's modality."""
    modality = source.spec(source.Config.model_construct(**data)).modality
    return importlib.import_module(f"perceiver_jax.modalities.{modality}").AugmentConfig


def _members(annotation: Any) -> list[type[Section]]:
    """The Section types in an annotation: one, the variants of a union, or none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [] if get_origin(annotation) is Literal else [m for arg in get_args(annotation) for m in _members(arg)]


def _variant(members: list[type[Section]], value: Any) -> type[Section] | None:
    """The member that a value's `kind` (or `source`) selects."""
    if len(members) == 1:
        return members[0]
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return next((m for m in members if kind in get_args(m.model_fields["kind"].annotation)), None)


def _fields(section: Any, value: Any, overlay: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, field, value) of every leaf that a section has and the values hold."""
    chosen = _variant(_members(section), value)
    for name, field in chosen.model_fields.items() if chosen and isinstance(value, Mapping) else ():
        if name not in value:
            continue
        inner = overlay.get(name, field.annotation)
        if _members(inner) and isinstance(value[name], Mapping):
            yield from ((f"{name}.{leaf}", f, v) for leaf, f, v in _fields(inner, value[name], {}))
        else:
            yield name, field, value[name]


def _shrink(values: dict[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """The values with every `Tiny` of their fields applied."""
    shrunk = ConfigDict(values, type_safe=False)
    for name, field, value in _fields(Config, values, sections):
        for limit in (item.value for item in field.metadata if isinstance(item, Tiny)):
            caps = tuple(min(v, limit) for v in value) if isinstance(value, tuple) else value
            shrunk.update_from_flattened_dict(
                {name: limit if isinstance(limit, str) else caps if isinstance(value, tuple) else min(value, limit)}
            )
    model = shrunk.model  # fewer channels may no longer split into as many heads
    model.num_self_attend_heads = math.gcd(model.latent_channels, model.num_self_attend_heads)
    return shrunk.to_dict()


def _validate(section: Any, value: Any, at: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    try:
        return TypeAdapter(section).validate_python(value)
    except pydantic.ValidationError as error:
        raise _explain(section, error, at, values) from None


def _explain(section: Any, error: pydantic.ValidationError, at: tuple[str, ...], values: Mapping[str, Any]) -> Failure:
    """The first fault that pydantic found, in our words."""
    fault = error.errors()[0]
    name = _name(at + tuple(map(str, fault["loc"])), values)
    kind, value, context = fault["type"], fault["input"], fault.get("ctx", {})
    *parents, leaf = name.split(".")
    members = _members(_annotation(section, parents[len(at) :]))
    if kind == "extra_forbidden":
        if any(leaf in member.model_fields for member in members):
            used = [get_args(m.model_fields["kind"].annotation)[0] for m in members if leaf in m.model_fields]
            return Failure(Code.CONFIG, f"key {name} is not used with this {'.'.join(parents)}.kind; only with {', '.join(used)}")
        fields = {".".join((*parents, field)) for member in members for field in member.model_fields}
        return unknown_key(name, (set(known_keys(values)) | fields) - {name})
    if kind == "missing":
        return Failure(Code.CONFIG, f"missing key {name}", hint="every field is written out: see configs/digits.py")
    if kind == "literal_error" or kind == "union_tag_invalid":
        choices = context.get("expected") or context["expected_tags"]
        tag = value.get("kind") if kind == "union_tag_invalid" else value
        where = f"{name}.kind" if kind == "union_tag_invalid" else name
        return _unknown_value(where, tag, [c.strip("'\" ") for c in choices.replace(" or ", ",").split(",")])
    if kind == "value_error":
        text = str(context["error"])
        return Failure(Code.CONFIG, text if text.split(" ")[0].rstrip(":").startswith(_SECTIONS) else f"{name}: {text}, got {value!r}")
    return Failure(Code.CONFIG, f"{name}: expected {_rule(members, leaf, fault['msg'])}, got {value!r}")


_SECTIONS = tuple(Config.model_fields)


def _name(loc: tuple[str, ...], values: Any) -> str:
    """The dotted name of a pydantic location, which also holds the tags of unions: those are no keys."""
    parts = []
    for i, part in enumerate(loc):
        if isinstance(values, Mapping) and (part in values or i == len(loc) - 1):
            parts.append(part)
            values = values.get(part)
    return ".".join(parts)


def _annotation(section: Any, path: list[str]) -> Any:
    for part in path:
        section = next((m.model_fields[part].annotation for m in _members(section) if part in m.model_fields), None)
    return section


def known_keys(values: Mapping[str, Any]) -> Iterator[str]:
    """The dotted name of every section and field."""
    for key, value in values.items():
        yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in known_keys(value))


def _rule(members: list[type[Section]], leaf: str, message: str) -> str:
    """What a field takes, from its own declaration; pydantic's words where that says nothing."""
    field = next((m.model_fields[leaf] for m in members if leaf in m.model_fields), None)
    words = {int: "integer", float: "finite number", str: "text", bool: "True or False"}
    if field is None or field.annotation not in words:
        return message.removeprefix("Input should be ")
    bounds = {"ge": ">=", "gt": ">", "lt": "<", "le": "<="}
    limits = [f"{sign} {getattr(item, k)}" for item in field.metadata for k, sign in bounds.items() if hasattr(item, k)]
    return " ".join([words[field.annotation], " and ".join(limits)]).strip()


def unknown_key(name: str, names: Iterable[str]) -> Failure:
    """The failure for a key that no section has, with the nearest that one has, or all that its section has."""
    names = list(names)
    parent, _, leaf = name.rpartition(".")
    siblings = {known.rpartition(".")[2]: known for known in names if known.rpartition(".")[0] == parent}
    by_leaf = {known.rpartition(".")[2]: known for known in names}
    near = siblings.get(nearest(leaf, siblings)) or nearest(name, names) or by_leaf.get(nearest(leaf, by_leaf), "")
    if near and near != parent:
        return Failure(Code.CONFIG, f"unknown key {name}; did you mean {near}?")
    choices = siblings or [known for known in names if "." not in known]
    return Failure(Code.CONFIG, f"unknown key {name}", expected=f"one of {', '.join(sorted(choices))}")


def _unknown_value(name: str, value: Any, choices: list[str]) -> Failure:
    near = nearest(str(value), choices)
    ordered = [near, *(c for c in choices if c != near)] if near else choices
    return Failure(Code.CONFIG, f"{name}: unknown value {value!r}", expected="one of " + ", ".join(ordered))
