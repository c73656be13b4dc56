"""The words of sweep files: axes over the fields of a config, and how they go together.

A sweep is a list of dictionaries, each the fields that one run changes, by dotted name; the key "config" selects another
variant (":learned") or config file. So a plain list is a sweep too. In the spirit of DeepMind's `hyper`:

    product(sweep("model.num_latents", [64, 128]), seeds(3))  # 6 runs
    chained(fixed({}), sweep("model.sharing", ["none", "all"]))  # 3 runs
    product(log_uniform("optim.learning_rate", 1e-4, 1e-1), choice("optim.kind", ["lamb", "adamw"]))  # for --search
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Changes = dict[str, Any]  # by dotted name, what one run changes
CONFIG = "config"  # the key that selects a variant or config file
DIGITS = 4  # of a number that a search tries: names of runs show them


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Numbers from `low` to `high`, both included; whole ones where both are whole. With `log`, even in the logarithm."""

    low: float
    high: float
    log: bool

    @property
    def whole(self) -> bool:
        """Whether the numbers are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]


Range = Uniform | Choice


def sweep(name: str, values: Iterable[Any]) -> list[Changes]:
    """One run for each value of a field. Raises ValueError where there is none."""
    return [{name: value} for value in _values(name, values)]


def fixed(changes: Mapping[str, Any]) -> list[Changes]:
    """One run, with these changes: what all have in common, as a factor of a product."""
    for name in changes:
        _check_name(name)
    return [dict(changes)]


def seeds(count: int) -> list[Changes]:
    """One run for each seed from 0 to `count` - 1. Raises ValueError where there is none."""
    return sweep("seed", range(count))


def product(*sweeps: Sequence[Changes]) -> list[Changes]:
    """Each run of the first with each of the second, and so on; the last varies fastest.

    Raises ValueError where one is empty, or two change the same field.
    """
    _check(sweeps)
    return [_merged(parts) for parts in itertools.product(*sweeps)]


def zipped(*sweeps: Sequence[Changes]) -> list[Changes]:
    """The first run of each together, then the second of each, and so on.

    Raises ValueError where they are of different lengths, one is empty, or two change the same field.
    """
    _check(sweeps)
    if len(set(map(len, sweeps))) > 1:
        raise ValueError(f"zipped: expected sweeps of one length, got {', '.join(str(len(one)) for one in sweeps)}")
    return [_merged(parts) for parts in zip(*sweeps, strict=True)]


def chained(*sweeps: Sequence[Changes]) -> list[Changes]:
    """The runs of the first, then those of the second, and so on. Raises ValueError where one is empty."""
    _check(sweeps)
    return [dict(changes) for one in sweeps for changes in one]


def uniform(name: str, low: float, high: float) -> list[Changes]:
    """A range of numbers that a search tries: whole ones where both ends are. Raises ValueError unless low < high."""
    return _range(name, low, high, log=False)


def log_uniform(name: str, low: float, high: float) -> list[Changes]:
    """The same, even in the logarithm. Raises ValueError unless 0 < low < high."""
    return _range(name, low, high, log=True)


def choice(name: str, values: Iterable[Any]) -> list[Changes]:
    """Values of which a search tries one at a time. Raises ValueError where there is none."""
    return [{name: Choice(tuple(_values(name, values)))}]


def _range(name: str, low: float, high: float, log: bool) -> list[Changes]:
    _check_name(name)
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
        raise ValueError(f"{name}: expected a range {'0 < low < high' if log else 'low < high'}, got {low} to {high}")
    return [{name: Uniform(low, high, log)}]


def _values(name: str, values: Iterable[Any]) -> list[Any]:
    _check_name(name)
    if isinstance(values, str | bytes | Mapping):
        raise ValueError(f"{name}: expected a list of values, got {values!r}")
    found = list(values)
    if not found:
        raise ValueError(f"{name}: an axis without values")
    return found


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected the dotted name of a field, such as model.num_latents, got {name!r}")


def _check(sweeps: Sequence[Sequence[Changes]]) -> None:
    for number, one in enumerate(sweeps, 1):
        if isinstance(one, Mapping) or not isinstance(one, Sequence):
            raise ValueError(f"sweep {number}: expected a list of dictionaries, got {type(one).__name__}; try fixed(...)")
        if not one:
            raise ValueError(f"sweep {number} of {len(sweeps)} is empty")


def _merged(parts: Sequence[Changes]) -> Changes:
    merged: Changes = {}
    for part in parts:
        for name in part:
            if name in merged:
                raise ValueError(f"{name} is changed twice: {merged[name]!r} and {part[name]!r}")
        merged |= part
    return merged
