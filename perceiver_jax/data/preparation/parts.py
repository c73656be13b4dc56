"""Parts of a preparation, for many machines: which of the work is whose, and whether all of it is done."""

import collections
import heapq
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from perceiver_jax.data.preparation import shard
from perceiver_jax.data.preparation.items import Unit
from perceiver_jax.errors import Code, Failure, some

LOCK = ".lock"  # of the whole folder; a part's has its name behind it
SHOWN = 8  # of the parts that are not finished

_TEXT = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_LOCKS = re.compile(rf"{re.escape(LOCK)}-([0-9]+)-of-([0-9]+)")
Piece = TypeVar("Piece")


class Part(NamedTuple):
    """Part `number` of `of`, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """The part that `I/N` names; raises ValueError for anything else."""
        matched = _TEXT.fullmatch(text)
        number, of = map(int, matched.groups()) if matched else (0, 0)
        if not 1 <= number <= of:
            raise ValueError("expected I/N, part I of N: 1/4, 2/4, 3/4 or 4/4 of four")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def mark(self) -> str:
        """What the names of its unfinished files begin with."""
        return f"{self.number}-of-{self.of}-"

    @property
    def lock(self) -> str:
        """The name of its lock."""
        return f"{LOCK}-{self.number}-of-{self.of}"

    def share(self, pieces: Sequence[Piece], weight: Callable[[Piece], int]) -> list[Piece]:
        """Its pieces, in their order; all parts together have each once, and nearly the same weight.

        The heaviest goes first, and each to the part that has the least by then.
        """
        mine, loads = [], [(0, number) for number in range(1, self.of + 1)]
        for i in sorted(range(len(pieces)), key=lambda i: -weight(pieces[i])):
            load, number = loads[0]
            heapq.heapreplace(loads, (load + weight(pieces[i]), number))
            if number == self.number:
                mine.append(i)
        return [pieces[i] for i in sorted(mine)]


def share_of(part: Part, units: Sequence[Unit]) -> list[Unit]:
    """The units that a part prepares. Items are shuffled, so the work grows with their number."""
    return part.share(units, lambda unit: len(unit.items))


def check_finished(units: Sequence[Unit], recipe: str, folder: Path) -> None:
    """Raises Failure(WORKDIR) naming the parts that are not finished, as far as the folder shows how many there are."""
    missing, foreign = _unfinished(units, recipe, folder)
    if not missing:
        return
    found = f"{len(units) - len(missing):,} of {len(units):,} shards"
    if foreign:
        found += f", and {foreign:,} of another source or other settings"
    what, names = "not all parts are finished", ["--part=I/N for each I from 1 to N"]
    counts = collections.Counter(int(m[2]) for path in folder.glob(f"{LOCK}-*") if (m := _LOCKS.fullmatch(path.name)))
    if counts:
        of = max(counts, key=lambda of: (counts[of], of))
        shares = {part: share_of(part, units) for part in (Part(number, of) for number in range(1, of + 1))}
        names = [f"--part={part}" for part, mine in shares.items() if any(unit.shard in missing for unit in mine)]
        what = f"{len(names):,} of {of:,} parts are not finished"
    hint = f"first {some(names, SHOWN)}; or without --seal, which prepares here what is missing"
    raise Failure(Code.WORKDIR, what, f"{folder}", found=found, hint=hint)


def warn_of_others(units: Sequence[Unit], recipe: str, folder: Path, report: Callable[[str], None]) -> None:
    """Says how many shards in the folder are not what this source and these settings give."""
    _, foreign = _unfinished(units, recipe, folder)
    if foreign:
        what = f"{foreign:,} shards in {folder} are of another source or other settings, and have to be prepared again"
        report(f"warning: {what}; copies of a source count as the same if they keep the times of its files (rsync -a)")


def _unfinished(units: Sequence[Unit], recipe: str, folder: Path) -> tuple[set[str], int]:
    """The shards that are not there, and how many of them are there but with other contents."""
    missing = {unit.shard for unit in units if shard.recorded(unit, recipe, folder) is None}
    return missing, sum((folder / name).exists() for name in missing)
