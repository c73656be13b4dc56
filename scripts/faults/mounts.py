"""File systems that are mounted for a while, where this process may do that."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def mounted(place: Path, command: Sequence[str]) -> Iterator[bool]:
    """Whether a command mounts a file system at a path, which is there until the end."""
    there = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", str(place)], check=True)
