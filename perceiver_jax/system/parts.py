"""The parts of a step, by name: a label on the operations of a compiled program, which costs it nothing."""

import contextlib
import functools
import re
from typing import NamedTuple

import jax

_MARK = "part="  # what a label begins with, so that no list of all parts is needed
_LABEL = re.compile(rf"{_MARK}([^/()]+)")


class Label(NamedTuple):
    """Where in a step an operation belongs."""

    part: str | None  # None: to no part
    is_backward: bool  # whether it computes the gradient, what is computed again for it included


def part(name: str) -> contextlib.AbstractContextManager[None]:
    """Around the operations of a part while they are traced: `with part("head")`. The innermost part counts."""
    return jax.named_scope(_MARK + name)


@functools.lru_cache(maxsize=2**16)  # operations by the ten thousand have names by the hundred
def label(op_name: str) -> Label:
    """What an operation's name in a compiled program, or its name stack in a traced one, says of where it belongs."""
    found = _LABEL.findall(op_name)
    return Label(found[-1] if found else None, "transpose(" in op_name)
