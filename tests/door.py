"""How tests go through the door of the commands within their own process."""

import contextlib
import copy
from collections.abc import Iterator
from unittest import mock

from absl import flags

from perceiver_jax import command

LIBRARIES = ("absl", "grain", "array_record")


@contextlib.contextmanager
def fresh_flags() -> Iterator[None]:
    """Flags as in a process that has just begun, so that any program can be run; afterwards they are as before."""
    before = copy.deepcopy(vars(flags.FLAGS))
    for name in set(flags.FLAGS) - _of_libraries() - {"debug"}:
        delattr(flags.FLAGS, name)
    try:
        with mock.patch.object(command, "_overrides", {}):
            yield
    finally:
        defined = {name: flags.FLAGS[name] for name in _of_libraries()}
        vars(flags.FLAGS).clear()
        vars(flags.FLAGS).update(before)
        for name in defined.keys() - set(flags.FLAGS):  # a library that was imported meanwhile will not define them again
            flags.FLAGS[name] = defined[name]


def _of_libraries() -> set[str]:
    """The names of flags that libraries define as they are imported."""
    modules = {name: flags.FLAGS.find_module_defining_flag(name) for name in flags.FLAGS}
    return {name for name, module in modules.items() if module is None or module.startswith(LIBRARIES)}
