"""What --tiny does to a config: every field that has a `Tiny` is shrunk, so that it runs in seconds."""

import math
from typing import Any

from pydantic.fields import FieldInfo

from perceiver_jax.section import ONLY, Section, Tiny


def shrunk(config: Section) -> dict[str, Any]:
    """The values of a config with every `Tiny` applied, then adjusted so that sizes still divide each other."""
    values = _shrunk(config)
    values["model"] = config.model.shrunk(values["model"])
    values["optim"]["accumulation_steps"] = math.gcd(values["data"]["batch_size"], values["optim"]["accumulation_steps"])
    return values


def _shrunk(value: Any) -> Any:
    if isinstance(value, Section):
        return {name: _shrunk_field(field, getattr(value, name)) for name, field in type(value).model_fields.items()}
    if not isinstance(value, dict):
        return value
    by_name = {name: _shrunk(inner) for name, inner in value.items()}
    return by_name.get(ONLY, by_name)


def _shrunk_field(field: FieldInfo, value: Any) -> Any:
    for limit in (item.value for item in field.metadata if isinstance(item, Tiny)):
        if isinstance(limit, str):
            return limit
        return tuple(min(number, limit) for number in value) if isinstance(value, tuple) else min(value, limit)
    return _shrunk(value)
