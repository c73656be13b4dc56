"""How a process may go wrong at a step from inside, with another one waiting for it: for `layers.inside`."""

import errno
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from perceiver_jax.errors import Code, Failure
from scripts.faults.refusals import Refusals


def raises() -> NoReturn:
    """A fault of the program."""
    raise ValueError("injected")


def fails() -> NoReturn:
    """An end that has a message of its own."""
    raise Failure(Code.DATA, "record 7 is damaged", "shard 3")


def nan() -> NoReturn:
    """Numbers that are not finite, in this process alone."""
    raise Failure(Code.NUMERICS, "loss is nan", "step 7")


def memory() -> NoReturn:
    """An allocation that is refused."""
    raise MemoryError("injected")


def leaves() -> NoReturn:
    """An exit with code 0 that the interpreter takes part in."""
    sys.exit(0)


def quits() -> NoReturn:
    """An exit that nothing takes part in."""
    os._exit(3)


def full() -> None:
    """A disk without room for anything more."""
    Refusals(Path("/"), 1, None, errno.ENOSPC).__enter__()


def sleeps() -> None:
    """A process that is alive and waits."""
    time.sleep(3600)


def spins() -> None:
    """A process that is alive and busy, and lets no other thread of Python run for long."""
    while True:
        pass
