"""Training that goes wrong inside a process at one step: python -m scripts.faults.at_step KIND:STEP FLAGS-OF-TRAIN...

KIND is a function below; it is called once the step has been dispatched, in the middle of what all processes compute.
"""

import os
import runpy
import sys
import time
from typing import Any, NoReturn

from perceiver_jax.errors import Code, Failure


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


def sleeps() -> None:
    """A process that is alive and waits."""
    time.sleep(3600)


def spins() -> None:
    """A process that is alive and busy, and lets no other thread of Python run for long."""
    while True:
        pass


KINDS = {kind.__name__: kind for kind in (raises, fails, nan, memory, leaves, quits, sleeps, spins)}


def main() -> None:
    kind, _, step = sys.argv.pop(1).partition(":")
    from perceiver_jax.training.meter import Meter

    add = Meter.add

    def faulty(self: Meter, done: int, sums: Any) -> None:
        if done == int(step):
            KINDS[kind]()
        add(self, done, sums)

    Meter.add = faulty
    runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
