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

    def floats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: float(value) if isinstance(value, str) and value in _NON_FINITE else value for name, value in pairs}

    return json.loads(text, object_pairs_hook=floats)


def floats(name: str, value: Any) -> Any:
    """A value of a record with the numbers that are not finite as floats; null, as other writers put it, is NaN."""
    if name in ("step", "split"):
        return value
    return math.nan if value is None else float(value) if value in _NON_FINITE else value
