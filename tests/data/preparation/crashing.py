"""A way to make examples in which some items end, or stop, the process at work on them."""

import os
import signal
import time

from perceiver_jax.data.preparation.items import Example, Item
from perceiver_jax.readers import BadFile


def convert(item: Item, data: bytes) -> Example:
    """The bytes themselves; what they say happens."""
    if data == b"bad":
        raise BadFile("not-good", "says so itself")
    if data == b"hang":
        time.sleep(60)
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == b"bug":
        raise ZeroDivisionError
    return Example(data, ("odd",) if data.startswith(b"odd") else ())
