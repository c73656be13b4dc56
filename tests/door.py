"""How tests go through the door of the commands within their own process."""

import contextlib
import copy
from collections.abc import Iterator
from unittest import mock

from absl import flags

from perceiver_jax import command


@contextlib.contextmanager
def fresh_flags() -> Iterator[None]:
    """Flags as in a process that has just begun, so that any program can be run; afterwards they are as before."""
    before = copy.deepcopy(vars(flags.FLAGS))
    for name in list(flags.FLAGS):
        if name != "debug" and not flags.FLAGS.find_module_defining_flag(name).startswith(("absl", "grain")):
            delattr(flags.FLAGS, name)
    try:
        with mock.patch.object(command, "_overrides", {}):
            yield
    finally:
        vars(flags.FLAGS).clear()
        vars(flags.FLAGS).update(before)
