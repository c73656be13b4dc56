"""A reader that does all that none may, each with the damaged inputs of one seed."""

import os
import pickle
import signal
import time
from pathlib import Path

import av
import numpy as np

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from scripts.fuzz.parser import Parser


def raising(_):
    raise ValueError("not a number\nand more")


def faulty(_):
    raise Failure(Code.FAULT, "a bug")


def dying(_):
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(_):
    time.sleep(60)


def greedy(_):
    try:
        bytearray(2**31)
    except MemoryError:
        raise BadFile("damaged", "cannot be decoded") from None


def hungry(_):
    """FFmpeg's word for memory that there is not enough of."""
    try:
        np.empty(2**31, np.uint8)
    except MemoryError:
        unbelieving(_)


def unbelieving(_):
    """FFmpeg's word for a number that it does not believe."""
    try:
        raise av.MemoryError(12, "Cannot allocate memory")
    except av.MemoryError:
        raise BadFile("damaged", "cannot be decoded: cannot allocate memory") from None


def writing(folder):
    (folder.parent / "outside").write_bytes(b"a")


def pickled(_):
    pickle.loads(pickle.dumps(3))


def printing(_):
    import sys

    print("Traceback (most recent call last):\nValueError: of a callback", file=sys.stderr, flush=True)


def refusing(_):
    raise BadFile("damaged", "is damaged")


ACTS = {
    act.__name__: act
    for act in (raising, faulty, dying, hanging, greedy, hungry, writing, pickled, printing, refusing, unbelieving)
}


class Unruly(Parser):
    what = "anything"
    packages = ()

    def make(self) -> dict[str, bytes]:
        return {name: name.encode() * 20 for name in ACTS}

    def read(self, name: str, data: bytes, folder: Path) -> None:
        if data != self.seeds[name]:
            ACTS[name](folder)


MEMBER = Unruly
