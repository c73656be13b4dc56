"""What every part of a config is made of: frozen, strict sections and the few value types they share."""

import dataclasses
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, WrapSerializer


class Section(pydantic.BaseModel):
    """One frozen part of a config. No field has a default: the config file writes every one."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclasses.dataclass(frozen=True)
class Tiny:
    """What `--tiny` puts in a field: for numbers an upper limit (of every element of a tuple), for durations the value."""

    value: int | str


@dataclasses.dataclass(frozen=True)
class Harmless:
    """Marks a field that may change between the launches of one run: it does not affect what is learned."""


HARMLESS = Harmless()
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def local_path(text: str) -> str:
    """A path with the home directory in place of a leading `~`. Raises ValueError for an address."""
    scheme = re.match(r"[a-z][a-z0-9+.-]*://", text)
    if scheme:
        raise ValueError(f"{scheme[0]} is not read or written here: expected a path, perhaps on a mounted file system")
    return os.path.expanduser(text)


def _some_path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("expected a path")
    return local_path(text)


PathText = Annotated[str, AfterValidator(_some_path)]  # a leading ~ is the home directory

ONLY = ""  # the name of the stream in settings of a run that has a single one
T = TypeVar("T")


class Frozen(dict[str, T]):
    """An immutable mapping: hashable, as part of a frozen section."""

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type, tuple[dict[str, T]]]:
        return Frozen, (dict(self),)  # a copy is made at once, not filled

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise TypeError("a config is frozen")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def _given_by_stream(value: Any) -> Any:
    is_section = lambda x: isinstance(x, Section | Mapping)  # noqa: E731
    if isinstance(value, Mapping) and "kind" not in value and any(map(is_section, value.values())):
        return value
    return {ONLY: value} if is_section(value) else value


def _dumped_by_stream(value: Any, dump: Callable[[Any], Any]) -> Any:
    return dump(value)[ONLY] if ONLY in value else dump(value)


def by_stream(annotation: Any) -> Any:
    """The type of a setting that each stream of inputs has: its values by the streams' names.

    A section in place of the mapping is the short form for a run with a single stream. It is stored under the name `ONLY`,
    and dumped as it was given.
    """
    return Annotated[
        dict[str, annotation],
        BeforeValidator(_given_by_stream),
        AfterValidator(Frozen),
        WrapSerializer(_dumped_by_stream),
    ]


def of_stream(settings: Mapping[str, T], name: str) -> T:
    """One stream's value of a setting that is given `by_stream`."""
    return settings[ONLY] if ONLY in settings else settings[name]


_DURATION = re.compile(r"(\d+(?:\.\d+)?) (steps|examples|epochs)")


def _check_duration(text: str) -> str:
    match = _DURATION.fullmatch(text)
    if not match or not 0 < float(match[1]) < math.inf:
        raise ValueError('expected a length above 0 such as "2000 steps", "50000 examples" or "120 epochs"')
    return text


Duration = Annotated[str, AfterValidator(_check_duration)]


def duration_steps(duration: str, batch_size: int, num_examples: int) -> int:
    """The steps in a `Duration`, rounded, at least 1; an epoch is `num_examples` (possibly mid-batch)."""
    amount, unit = duration.split()
    per_unit = {"steps": 1, "examples": 1 / batch_size, "epochs": num_examples / batch_size}[unit]
    return max(1, round(float(amount) * per_unit))
