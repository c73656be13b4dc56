"""What every reader of people's bytes is asked, and the measuring of what a read costs.

A reader joins as a `Reader` in the list of `test_battery`. Its content should be small: every form is read some hundred
times.
"""

import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perceiver_jax.readers import BadFile

ROOT = Path(__file__).parents[2]
LARGE, SECONDS, MEGABYTES = 50_000, 1.0, 200  # of a hostile input, of reading it
CHANGES, PLAIN_CHANGES = 50, 300  # of a form, of the plain one: bytes at evenly spaced places
# What a byte becomes, beside itself with one bit turned: what numbers, lines, remarks and binary counts are made of.
OTHERS = b"0 9-.\n#\0\xff"


class Reader(NamedTuple):
    """A reader and the same content in every form that its format allows."""

    name: str
    forms: Mapping[str, bytes]  # by what they show; the first is the plain one
    read: Callable[[bytes], Any]
    same: Callable[[Any, Any], bool]
    changed: Callable[[Any, bytes], bool]  # whether a value is right of bytes of which one was changed
    # Whether a value is right of a form that was cut, or written twice; None: only the whole content is.
    cut: Callable[[Any], bool] | None = None
    doubled: Callable[[Any], bool] | None = None
    hostile: Mapping[str, bytes] = {}  # at most `LARGE` bytes that claim, repeat or nest much
    refusal: type[Exception] = BadFile  # what `read` raises, with words


def rewrite(path: Path, data: bytes) -> None:
    """Gives a file other bytes, for readers of files; ten times as fast as to empty it first."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(file, data)
    os.ftruncate(file, len(data))
    os.close(file)


def changes(reader: Reader, form: str) -> Iterator[bytes]:
    """The bytes of a form with one of them changed, in turn to each of `OTHERS` or by one bit."""
    data, number = reader.forms[form], list(reader.forms).index(form)
    most = min(len(data), CHANGES if number else PLAIN_CHANGES)
    places = np.unique(np.linspace(0, len(data) - 1, most, dtype=int) - number % 7) % len(data)
    for turn, place in enumerate(places.tolist(), number):
        kind = turn % (len(OTHERS) + 3)
        new = OTHERS[kind] if kind < len(OTHERS) else data[place] ^ (1 << (turn * 5 + kind) % 8)
        if new != data[place]:
            yield data[:place] + bytes([new]) + data[place + 1 :]


def costs(reader: Reader) -> list[tuple[str, float, float]]:
    """Of each hostile input its name, the processor's seconds for a read, and the peak beyond the start in megabytes."""
    for data in reader.forms.values():
        reader.read(data)  # imports what it needs
    found = []
    for name, data in reader.hostile.items():
        start, began = _peak(reset=True), time.process_time()  # not of the other processes
        with contextlib.suppress(reader.refusal):
            reader.read(data)
        found.append((f"{reader.name}, {name}", time.process_time() - began, _peak() - start))
    return found


def costs_elsewhere(module: str) -> list[tuple[str, float, float]]:
    """`costs` of all readers of a module's list READERS, in a process of its own, whose peak is theirs alone."""
    command = [sys.executable, "-m", __name__, module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return [tuple(row) for row in json.loads(done.stdout.splitlines()[-1])]


def _peak(reset: bool = False) -> float:
    """The most memory that this process has had, in megabytes; `reset` counts from now on, where the system can."""
    status, forget = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if reset and forget.exists():  # making the inputs takes more than reading them
        with contextlib.suppress(OSError):
            forget.write_text("5")
    if status.exists():  # where `ru_maxrss` begins with what the parent had
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1e3
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    readers = importlib.import_module(sys.argv[1]).READERS
    print(json.dumps([row for reader in readers for row in costs(reader)]))
