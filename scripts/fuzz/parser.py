"""What is fuzzed: a reader with valid inputs for it, and what may become of an input."""

import abc
import dataclasses
import functools
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import perceiver_jax
from perceiver_jax.errors import Code, Failure, MissingPackage, printable
from perceiver_jax.readers import BadFile

ROOT = Path(__file__).parents[2]
_PACKAGE = Path(perceiver_jax.__file__).parent
_NO_MEMORY = ("insufficient memory", "bad_alloc", "cannot allocate memory", "unable to allocate")  # of libraries


class Parser(abc.ABC):
    """A reader of bytes that users give. A file in `scripts.fuzz.parsers` names its own as its MEMBER."""

    what: str  # it reads, in words
    packages: Sequence[str]  # that read it beside ours, for the table

    @abc.abstractmethod
    def make(self) -> Mapping[str, bytes]:
        """Small valid inputs by the name of their file; made in code."""

    @abc.abstractmethod
    def read(self, name: str, data: bytes, folder: Path) -> None:
        """Reads an input that began as the seed `name`, as commands do: from a file in `folder`, which is empty, if they do.

        Whatever it raises is judged.
        """

    @functools.cached_property
    def seeds(self) -> dict[str, bytes]:
        """What `make` makes, once, in a fixed order."""
        return dict(sorted(self.make().items()))

    @property
    def whole(self) -> dict[str, bytes]:
        """Seeds with which all valid input is read."""
        return self.seeds


class Tree(Parser):
    """A reader of a folder of files, one of which is damaged."""

    @abc.abstractmethod
    def use(self, folder: Path) -> None:
        """Reads the folder, in which a file may be damaged."""

    @property
    def whole(self) -> dict[str, bytes]:
        """One of its files: the others are beside it."""
        return dict(list(self.seeds.items())[:1])

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """As `Parser` has it."""
        for other, content in (self.seeds | {name: data}).items():
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_bytes(content)
        self.use(folder)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an input."""

    number: int
    name: str  # of the seed that it began as
    accepted: bool = False
    problem: str = ""  # what is not allowed, in a line; empty where it was accepted or refused
    place: str = ""  # where that was: one problem has one
    seconds: float = 0.0
    memory: int = 0  # bytes above what the process had when it began
    refused: str = ""  # why, where it was
    doubted: bool = False  # whether it is out of memory by FFmpeg's word, which it has for numbers that it does not believe


def judged(parser: Parser, number: int, name: str, data: bytes, folder: Path) -> Outcome:
    """What became of an input: accepted, refused with a code of ours, or else a problem. Raises MissingPackage."""
    outcome = Outcome(number, name)
    try:
        parser.read(name, data, folder)
    except MissingPackage:
        raise
    except (BadFile, Failure) as error:
        if any(map(_is_memory, _causes(error))):
            doubted = any(type(cause).__module__.startswith("av.") for cause in _causes(error))
            problem = f"out of memory, told as {_line(error)}"
            return dataclasses.replace(outcome, problem=problem, place=_place(error), doubted=doubted)
        if isinstance(error, BadFile) or error.code != Code.FAULT:
            return dataclasses.replace(outcome, refused=_line(error))
        return dataclasses.replace(outcome, problem=f"a fault of ours: {_line(error)}", place=_place(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 also SystemExit, and what libraries derive from it
        return dataclasses.replace(outcome, problem=f"{type(error).__name__}: {_line(error)}", place=_place(error))
    return dataclasses.replace(outcome, accepted=True)


def _line(error: BaseException) -> str:
    """The first line of what an exception says."""
    return printable(str(error).strip().partition("\n")[0], 200)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those in whose handling it was raised."""
    while error is not None:
        yield error
        error = error.__context__


def _is_memory(error: BaseException) -> bool:
    said = str(error).lower()
    if isinstance(error, MemoryError):
        return "too complex" not in said  # what Python's own parser says of too many brackets
    return any(words in said for words in _NO_MEMORY)


def _place(error: BaseException) -> str:
    """The innermost line of ours that an exception came through, and its type."""
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    ours = [frame for frame in frames if Path(frame[0]).is_relative_to(_PACKAGE)]
    file, line = (ours or frames)[-1]
    return f"{type(error).__name__} at {os.path.relpath(file, ROOT)}:{line}"
