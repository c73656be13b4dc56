"""How the programs end: one exit code per kind of end, one grammar for every message."""

import dataclasses
import difflib
import enum
from collections.abc import Iterable, Sequence


class Code(enum.IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAULT = 1  # a bug of ours
    CONFIG = 2  # usage or config
    DATA = 3
    CHECKPOINT = 4
    NUMERICS = 5  # not finite, or not the same on all devices
    WORKDIR = 6  # full, read-only, locked
    MEMORY = 7
    WATCHDOG = 70
    HUNG_UP = 129  # stopped by SIGHUP after saving
    INTERRUPTED = 130  # the same by SIGINT
    USER_1 = 138  # by SIGUSR1
    USER_2 = 140  # by SIGUSR2
    TERMINATED = 143  # by SIGTERM


STOPPED = frozenset({Code.HUNG_UP, Code.INTERRUPTED, Code.USER_1, Code.USER_2, Code.TERMINATED})


@dataclasses.dataclass
class Failure(Exception):
    """An end that the user can act on.

    Prints as `error[CODE] what: where`, then `found:`, `expected:` and `try:` as far as they are given.
    """

    code: Code
    what: str
    where: str = ""
    found: str = ""
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        lines = [f"error[{int(self.code)}] {self.what}" + (f": {self.where}" if self.where else "")]
        rest = {"found": self.found, "expected": self.expected, "try": self.hint}
        return "\n".join(lines + [f"  {name}: {text}" for name, text in rest.items() if text])


class MissingPackage(Failure):
    """A package that is not installed: no fault of the file that needs it."""


class Stopped(Exception):
    """A run that a signal ended in good order; `code` is the exit code of that signal, `then` says how to resume."""

    def __init__(self, code: Code, step: int, then: str = "the same command resumes"):
        super().__init__(f"stopped at step {step}; {then}")
        self.code, self.step = code, step


def printable(text: str, length: int = 200) -> str:
    """Text from a file, made printable: one line, of limited length."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: length + 1])
    return shown if len(shown) <= length else f"{shown[:length]}..."


def some(names: Sequence[str], most: int, rest: str = "...") -> str:
    """The first `most` names, and `rest` in place of the others, if there are any."""
    return ", ".join([*names[:most], *([rest] if len(names) > most else [])])


def nearest(name: str, names: Iterable[str], likeness: float = 0.6) -> str:
    """The known name most like `name`, or "" where none is close: less alike than `likeness`, of at most 1."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=likeness)), "")


def nearest_first(name: str, names: Iterable[str]) -> list[str]:
    """The names with the one most like `name` in front, where one is close; the others in their order."""
    names = list(names)
    near = nearest(name, names)
    return sorted(names, key=lambda other: other != near)
