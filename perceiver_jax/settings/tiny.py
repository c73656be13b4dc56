"""What --tiny does to a config: every field that has a `Tiny` is shrunk, so that it runs in seconds."""

import math
from collections.abc import Collection
from typing import Any

from pydantic.fields import FieldInfo

from perceiver_jax.section import ONLY, Section, Tiny


def shrunk(config: Section, kept: Collection[str] = ()) -> dict[str, Any]:
    """The values of a config with every `Tiny` applied, then adjusted so that sizes still divide each other.

    What the fields and sections `kept`, by dotted name, hold stays as it is.
    """
    values = _shrunk(config, "", kept)
    fitted = {f"model.{name}": (values["model"], value) for name, value in config.model.shrunk(values["model"]).items()}
    parts = math.gcd(values["data"]["batch_size"], values["optim"]["accumulation_steps"])
    fitted["optim.accumulation_steps"] = (values["optim"], parts)
    if config.mesh.virtual_shards is not None:
        shards = math.gcd(values["data"]["batch_size"] // parts, config.mesh.virtual_shards)
        fitted["mesh.virtual_shards"] = (values["mesh"], shards)
    for name, (section, value) in fitted.items():
        if not _is_kept(name, kept):
            section[name.partition(".")[2]] = value
    return values


def _shrunk(value: Any, name: str, kept: Collection[str]) -> Any:
    prefix = f"{name}." if name else ""
    if isinstance(value, Section):
        fields = type(value).model_fields.items()
        return {field: _shrunk_field(info, getattr(value, field), prefix + field, kept) for field, info in fields}
    if not isinstance(value, dict):
        return value
    if ONLY in value:
        return _shrunk(value[ONLY], name, kept)
    return {key: _shrunk(inner, prefix + key, kept) for key, inner in value.items()}


def _shrunk_field(field: FieldInfo, value: Any, name: str, kept: Collection[str]) -> Any:
    limits = [] if _is_kept(name, kept) else [item.value for item in field.metadata if isinstance(item, Tiny)]
    for limit in limits:
        if isinstance(limit, str):
            return limit
        return tuple(min(number, limit) for number in value) if isinstance(value, tuple) else min(value, limit)
    return _shrunk(value, name, kept)


def _is_kept(name: str, kept: Collection[str]) -> bool:
    """Whether a field, or a section that it is in, is one of those."""
    return any(name == one or name.startswith(f"{one}.") for one in kept)
