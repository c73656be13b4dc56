"""How many runs at a time look: a live table on a terminal, a line for each that begins or ends elsewhere. On stderr."""

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from io import TextIOBase
from typing import Any

from perceiver_jax.report.progress import SafeStream, live
from perceiver_jax.report.tables import duration

WAITING, RUNNING, DONE, FAILED, STOPPED, PRUNED = STATES = ("waiting", "running", "done", "failed", "stopped", "pruned")
_FIRST = (RUNNING, FAILED, STOPPED, DONE, PRUNED, WAITING)  # where a screen is too small for all
_COLOURS = {RUNNING: "cyan", DONE: "green", FAILED: "red", STOPPED: "yellow", PRUNED: "dim", WAITING: "dim"}
_AROUND = 6  # lines of a screen that are not rows: header, rules, summary, prompt


@dataclasses.dataclass(frozen=True)
class Row:
    """A run as it stands."""

    name: str
    state: str
    step: int = 0
    total: int = 0  # 0: not known yet
    score: float | None = None
    metric: str = ""  # what the score is
    words: str = ""  # of how it ended: an error

    @property
    def part(self) -> float:
        """How much of it is over, 0 to 1."""
        if self.state in (RUNNING, WAITING):
            return min(1.0, self.step / self.total) if self.total else 0.0
        return 1.0


class Board:
    """The runs of a sweep; `count` is how many there will be, if more than these.

    `stream` (stderr) and `clock` in seconds are arguments for the tests.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        count: int = 0,
        stream: TextIOBase | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._rows = {row.name: row for row in rows}
        self._clock, self._stream = clock, SafeStream(stream or sys.stderr)
        self._least = count
        self._began, self._part = clock(), sum(row.part for row in rows)
        self._live: Any = None

    def __enter__(self) -> "Board":
        self._live = live(self._stream, lambda: _Table(self))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, row: Row) -> None:
        """Takes a run as it stands now; prints a line where there is no terminal and its state is another."""
        before = self._rows[row.name].state if row.name in self._rows else WAITING
        self._rows[row.name] = row
        if before == WAITING and row.state == RUNNING:
            self._part += row.part  # what an earlier launch had done
        if self._live is None and row.state != before:
            score = f", {row.metric} {row.score:.4f}" if row.score is not None and row.state != RUNNING else ""
            words = f": {row.words}" if row.words else ""
            after = f"  ({self.summary()})" if row.state != RUNNING else ""
            self.note(f"{row.name}: {row.state}{score}{words}{after}")

    def note(self, text: str) -> None:
        """Prints a line that stays."""
        if self._live is None:
            self._stream.write(text + "\n")
        else:
            self._live.console.print(text, markup=False, highlight=False)

    @property
    def _count(self) -> int:
        return max(self._least, len(self._rows))

    @property
    def _metrics(self) -> list[str]:
        """What the scores are."""
        return list(dict.fromkeys(row.metric for row in self._rows.values()))

    def summary(self) -> str:
        """How far all of them are, in one line: how many have ended, the best so far, the time left."""
        counts = {state: sum(row.state == state for row in self._rows.values()) for state in STATES}
        ended = [f"{counts[state]} {state}" for state in (FAILED, STOPPED, PRUNED, RUNNING) if counts[state]]
        parts = [", ".join([f"{counts[DONE]} of {self._count} done", *ended])]
        done = [row for row in self._rows.values() if row.state == DONE and row.score is not None]
        scored = [row for row in done if not math.isnan(row.score)]
        if scored and len(self._metrics) == 1:  # scores of two metrics are not compared
            best = max(scored, key=lambda row: row.score)
            parts.append(f"best {best.metric} {best.score:.4f}: {best.name}")
        left = self._seconds_left()
        return "; ".join(parts + ([f"{duration(left)} left"] if left is not None else []))

    def _seconds_left(self) -> float | None:
        """By the rate since the board was made, as if all runs were of one size."""
        part = sum(row.part for row in self._rows.values())
        gained, rest = part - self._part, self._count - part
        return (self._clock() - self._began) * rest / gained if gained > 0 and rest > 0 else None

    def _shown(self, most: int) -> list[Row]:
        """The rows that fit, in their order: those at work before others."""
        rows = list(self._rows.values())
        order = sorted(range(len(rows)), key=lambda i: _FIRST.index(rows[i].state))
        return [rows[i] for i in sorted(order[: max(most, 1)])]


class _Table:
    """The live table, as many of its rows as the terminal has lines for."""

    def __init__(self, board: Board):
        self._board = board

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.box import ASCII2, SIMPLE
        from rich.table import Table
        from rich.text import Text

        box = SIMPLE if self._board._stream.takes_unicode() else ASCII2
        table = Table(box=box, pad_edge=False, expand=False)
        table.add_column("point", overflow="ellipsis", no_wrap=True, ratio=2)
        for name, justify in (("state", "left"), ("step", "right"), (" or ".join(self._board._metrics), "right")):
            table.add_column(name, justify=justify, no_wrap=True)
        table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
        rows = self._board._shown(console.size.height - _AROUND)
        for row in rows:
            step = f"{row.step:,} of {row.total:,}" if row.total else ""
            score = f"{row.score:.4f}" if row.score is not None else ""
            state = Text(row.state, style=_COLOURS[row.state])
            table.add_row(Text(row.name), state, step, score, Text(row.words))
        yield table
        hidden = len(self._board._rows) - len(rows)
        yield Text(self._board.summary() + (f"; {hidden} not shown" if hidden else ""), no_wrap=True, overflow="ellipsis")
