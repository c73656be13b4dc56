"""A disk that refuses what a process of Python asks of it."""

import builtins
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The calls of Python by which files come into being; what Orbax's library writes itself is met by a real full disk.
CALLS = {builtins: ("open",), os: ("fsync", "rename", "mkdir")}


class Refusals:
    """A disk that refuses the calls of `CALLS` on files in `folder` from number `first` on, `count` of them; None: all."""

    def __init__(self, folder: Path, first: int, count: int | None, number: int):
        self._folder, self._first, self._count, self._number = str(folder), first, count, number
        self.calls = 0  # so far

    def __enter__(self) -> "Refusals":
        self._real = [(room, name, getattr(room, name)) for room, names in CALLS.items() for name in names]
        for room, name, real in self._real:
            setattr(room, name, self._refusing(name, real))
        return self

    def __exit__(self, *_: object) -> None:
        for room, name, real in self._real:
            setattr(room, name, real)

    def _refusing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *arguments: Any, **named: Any) -> Any:
            mode = str(arguments[0] if arguments else named.get("mode", "r")) if name == "open" else "w"
            if set(mode) & set("wax+") and self._concerns(target):
                self.calls += 1
                last = self._first + self._count if self._count else sys.maxsize
                if self._first <= self.calls < last:
                    raise OSError(self._number, os.strerror(self._number), str(target))
            return real(target, *arguments, **named)

        return call

    def _concerns(self, target: Any) -> bool:
        if isinstance(target, int):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{target}")
        return str(target).startswith(self._folder)
