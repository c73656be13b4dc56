"""The members of a room that grows by files: data sources, modalities, tasks. Adding one is adding a file."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from perceiver_jax.errors import Code, Failure, nearest_first, printable


def kinds(room: ModuleType) -> list[str]:
    """The kinds of member a room has: the names of its modules."""
    return sorted(module.name for module in pkgutil.iter_modules(room.__path__))


def member(room: ModuleType, kind: Any, field: str) -> Any:
    """The class that a room's module `kind` names as its MEMBER.

    Raises Failure(CONFIG), naming the kinds there are, for an unknown one; `field` is where a config names it.
    """
    there = kinds(room)
    if kind not in there:
        what = f"{field}: unknown value {printable(repr(kind), 100)}"
        raise Failure(Code.CONFIG, what, expected="one of " + ", ".join(nearest_first(str(kind), there)))
    return importlib.import_module(f"{room.__name__}.{kind}").MEMBER
