"""What every part of a config is made of: frozen, strict sections and the few value types they share."""

import dataclasses
import re
from typing import Annotated

import pydantic
from pydantic import AfterValidator, Field


class Section(pydantic.BaseModel):
    """One frozen part of a config. No field has a default: the config file writes every one."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclasses.dataclass(frozen=True)
class Tiny:
    """What `--tiny` puts in a field: for numbers an upper limit (of every element of a tuple), for durations the value."""

    value: int | str


@dataclasses.dataclass(frozen=True)
class Harmless:
    """Marks a field that may change between the launches of one run: it changes nothing of what is learned."""


HARMLESS = Harmless()
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

_DURATION = re.compile(r"(\d+(?:\.\d+)?) (steps|examples|epochs)")


def _check_duration(text: str) -> str:
    match = _DURATION.fullmatch(text)
    if not match or float(match[1]) <= 0:
        raise ValueError('expected a length above 0 such as "2000 steps", "50000 examples" or "120 epochs"')
    return text


Duration = Annotated[str, AfterValidator(_check_duration)]


def duration_steps(duration: str, batch_size: int, num_examples: int) -> int:
    """The steps in a `Duration`, rounded, at least 1; an epoch is `num_examples` (possibly mid-batch)."""
    amount, unit = duration.split()
    per_unit = {"steps": 1, "examples": 1 / batch_size, "epochs": num_examples / batch_size}[unit]
    return max(1, round(float(amount) * per_unit))
