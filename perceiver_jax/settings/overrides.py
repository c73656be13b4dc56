"""What a command line changes of a config: fields and whole sections by their dotted names."""

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from ml_collections import ConfigDict

from perceiver_jax.errors import Code, Failure
from perceiver_jax.settings import config as config_lib
from perceiver_jax.settings import faults, files


class Override(NamedTuple):
    """A new value of a field or section."""

    value: Any
    text: str  # as it was given


def read(text: str) -> Override:
    """A Python literal, or the text itself: `8`, `(28.0, 28.0)`, `None`, `{"kind": "constant"}`, `paper`, `20 epochs`."""
    try:
        return Override(ast.literal_eval(text), text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return Override(text, text)


def config_of(spec: str, given: Mapping[str, Override], shrink: bool) -> config_lib.Config:
    """The config that a file makes, FILE.py[:VARIANT], overridden and checked; raises Failure(CONFIG).

    What is overridden stays as it is given where `shrink` makes the rest tiny.
    """
    path, _, variant = spec.partition(":")
    values = files.load_config(Path(path), variant)
    apply(values, given)
    return config_lib.parse(values, shrink, kept=given)


def apply(values: ConfigDict, overrides: Mapping[str, Override]) -> None:
    """Changes a config; raises Failure(CONFIG) for a name that it does not have, with the nearest that it has."""
    for name, override in overrides.items():
        _set(values, name, override.value)
    plain = values.to_dict()
    for name, (value, text) in overrides.items():
        field = config_lib.field(plain, name)
        if field is not None and _takes_text(field.annotation) and not _takes(field.annotation, value):
            _put(_section(values, name), name, text)


def _set(values: ConfigDict, name: str, value: Any) -> None:
    section, leaf = _section(values, name), name.rpartition(".")[2]
    if leaf not in section and len(section):  # what is in an empty one is by the streams' names
        raise faults.unknown_key(name, faults.known_keys(values.to_dict()))
    if leaf in section and isinstance(section[leaf], ConfigDict) and not isinstance(value, dict | None):
        whole = faults.whole_section(name, sorted(section[leaf], key=lambda field: field != "kind"), section[leaf].to_dict())
        hint = f"--config.{name}.FIELD=VALUE" + (f", or the whole: {whole}" if whole else "")
        raise Failure(Code.CONFIG, f"--config.{name}: is a section", hint=hint)
    if not _is_named(value):
        raise Failure(Code.CONFIG, f"--config.{name}: expected names without dots as keys, got {value!r}")
    _put(section, name, ConfigDict(value) if isinstance(value, dict) else value)


def _put(section: ConfigDict, name: str, value: Any) -> None:
    try:
        with section.unlocked(), section.ignore_type():
            section[name.rpartition(".")[2]] = value
    except OverflowError:  # of an integer for a field of fractions
        raise Failure(Code.CONFIG, f"--config.{name}: is too large", expected=f"at most {sys.float_info.max:.2g}") from None


def _section(values: ConfigDict, name: str) -> ConfigDict:
    """The section that a name is in."""
    parents = name.split(".")[:-1]
    section: Any = values
    for i, part in enumerate(parents):
        if part not in section:
            raise faults.unknown_key(name, faults.known_keys(values.to_dict()))
        section = section[part]
        if not isinstance(section, ConfigDict):
            raise Failure(Code.CONFIG, f"--config.{name}: {'.'.join(parents[: i + 1])} is not a section but {section!r}")
    return section


def _is_named(value: Any) -> bool:
    """Whether all keys of a dictionary and of those in it can be a ConfigDict's."""
    if not isinstance(value, dict):
        return True
    return all(isinstance(key, str) and "." not in key and _is_named(inner) for key, inner in value.items())


def _takes_text(annotation: Any) -> bool:
    """Whether a field takes any text: a folder may be called 2024, or None."""
    return _takes(annotation, "")


def _takes(annotation: Any, value: Any) -> bool:
    """Whether a value is of the plain type of a field, or of one of several."""
    if get_origin(annotation) is Annotated:
        return _takes(get_args(annotation)[0], value)
    if get_origin(annotation) in (Union, UnionType):
        return any(_takes(one, value) for one in get_args(annotation))
    return annotation is type(value)
