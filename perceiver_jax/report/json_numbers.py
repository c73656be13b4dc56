"""Numbers in JSON: those that are not finite are the strings "NaN", "Infinity" and "-Infinity", as in protobuf's JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

_NON_FINITE = ("NaN", "Infinity", "-Infinity")


def plain(value: float) -> float | str:
    """A number as JSON has it: one that is not finite as a string."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def json_text(record: Mapping[str, Any]) -> str:
    """A record of numbers, texts, lists and records within it, as JSON that `from_json` reads."""

    def made(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: made(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return list(map(made, value))
        return plain(value) if isinstance(value, float) else value

    return json.dumps(made(record), indent=2, allow_nan=False) + "\n"


def from_json(text: str | bytes) -> Any:
    """What `json_text` wrote; raises ValueError where it is not JSON."""

    return json.loads(text, object_pairs_hook=lambda pairs: {name: _number(value) for name, value in pairs})


def floats(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of metrics with the numbers that are not finite as floats; null, as other writers put it, is NaN."""
    return {
        name: value if name in ("step", "split") else math.nan if value is None else _number(value)
        for name, value in record.items()
    }


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and value in _NON_FINITE else value
