"""How a run looks while it trains: a live bar on a terminal, one plain line per log elsewhere.

Progress goes to stderr and results to stdout, so that `command > results.txt` keeps the two apart. A missing
reader is not an error: what a closed, broken or full stream does not take is dropped.
"""

import contextlib
import errno
import locale
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from io import TextIOBase
from typing import Any

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.tables import duration

RATE_SECONDS = 60.0  # of the past from which the time left is estimated, roughly
MIN_BAR, MAX_BAR = 8, 40  # columns
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # the reader, the terminal: unlike a full disk, they do not come back
_RATES = {"examples_per_second": "examples/s", "megabytes_per_second": "MB/s"}
_SHOWN = {"loss": "loss", "accuracy": "accuracy", "mean_average_precision": "mAP"}


def say(text: str) -> None:
    """Prints a result to stdout; raises Failure(WORKDIR) where its disk is full. A reader that has gone is no fault."""
    stream = SafeStream(sys.stdout)
    stream.write(text + "\n")
    if stream.refused is not None:
        stream.forsake()
        hint = "free some space, or write to another disk"
        raise Failure(Code.WORKDIR, "stdout cannot be written", found=f"{stream.refused.strerror}", hint=hint)


def note(text: str) -> None:
    """Prints a line on stderr, where the progress goes."""
    print(text, file=sys.stderr)


class Progress:
    """The progress of a run from `first_step` (0, or where it resumed) to `total_steps`.

    `stream` is stderr and `clock` in seconds; both are arguments for the tests.
    """

    def __init__(
        self,
        total_steps: int,
        first_step: int,
        stream: TextIOBase | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total, self._step = total_steps, first_step
        self._clock, self._stream = clock, SafeStream(stream or sys.stderr)
        self._metrics: Mapping[str, float] = {}
        self._started = self._last_time = clock()
        self._rate_seconds = self._rate_steps = 0.0
        self._updated = False
        self._live: Any = None

    def __enter__(self) -> "Progress":
        self._live = live(self._stream, lambda: _Bar(self))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Moves on to `step`; with metrics (keys as in metrics.jsonl) it shows them, without it only moves the bar."""
        now = self._clock()
        if self._updated:  # the first update ends the time that compilation is in
            kept = math.exp(-(now - self._last_time) / RATE_SECONDS)
            self._rate_seconds = self._rate_seconds * kept + now - self._last_time
            self._rate_steps = self._rate_steps * kept + step - self._step
        self._step, self._last_time, self._updated = step, now, True
        if metrics:
            self._metrics = metrics
            if self._live is None:
                self._stream.write("step " + "  ".join(self._parts().values()) + "\n")

    def note(self, text: str) -> None:
        """Prints a line that stays: an evaluation, a checkpoint, where the run resumed."""
        if self._live is None:
            self._stream.write(text + "\n")
        else:
            self._live.console.print(text, markup=False, highlight=False)

    def _parts(self) -> dict[str, str]:
        """What there is to show, in order."""
        parts = {"step": f"{self._step}/{self._total}"}
        for key in [key for key in _SHOWN if key in self._metrics]:
            value = self._metrics[key]
            parts[key] = f"{_SHOWN[key]} {value:.3f}" if abs(value) < 1000 else f"{_SHOWN[key]} {value:.4g}"
        for key in [key for key in _RATES if key in self._metrics]:
            parts["rate"] = f"{self._metrics[key]:.4g} {_RATES[key]}"
        left = self._seconds_left()
        if self._step >= self._total:
            parts["time"] = f"took {duration(self._last_time - self._started)}"
        elif left is not None:
            parts["time"] = f"{duration(left)} left"
        return parts

    def _seconds_left(self) -> float | None:
        if self._rate_steps <= 0:
            return None
        return (self._total - self._step) * self._rate_seconds / self._rate_steps


def live(stream: "SafeStream", get_renderable: Callable[[], Any]) -> Any:
    """What keeps a rich renderable on the screen until it is stopped; None where the stream is no terminal."""
    if not stream.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return None
    from rich.console import Console
    from rich.live import Live

    # stdout is led through it only where both share the screen: a file must get its lines itself.
    shared = SafeStream(sys.stdout).isatty()
    shown = Live(console=Console(file=stream, force_terminal=True), get_renderable=get_renderable, redirect_stdout=shared)
    shown.start()
    return shown


class _Bar:
    """The live line, as much of it as the terminal is wide."""

    def __init__(self, progress: Progress):
        self._parts = progress._parts()
        self._done, self._total = progress._step, progress._total
        self._ascii = not progress._stream.takes_unicode()

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        width = options.max_width
        parts = self._parts
        for name in ("rate", "mean_average_precision", "accuracy", "loss", "time"):
            if len("  ".join(parts.values())) > width:
                parts = {key: text for key, text in parts.items() if key != name}
        text = "  ".join(parts.values())[:width]
        room = min(MAX_BAR, width - len(text) - 2)
        if room >= MIN_BAR:
            options = options.copy()
            options.encoding = "ascii" if self._ascii else options.encoding
            bar = ProgressBar(self._total, self._done, width=room, complete_style="cyan", finished_style="green")
            yield from bar.__rich_console__(console, options)
            text = "  " + text
        yield Text(text, no_wrap=True)


class SafeStream:
    """A text stream, possibly None, that takes any text and never raises."""

    def __init__(self, stream: TextIOBase | None):
        self._stream = stream
        self.refused: OSError | None = None  # why the last text was not written, other than that nobody reads it
        self.encoding = getattr(stream, "encoding", None) or "ascii"

    def takes_unicode(self) -> bool:
        """False also in the locale C, where Python writes UTF-8 whatever the terminal reads."""
        return self.encoding.lower().startswith("utf") and locale.setlocale(locale.LC_CTYPE) not in ("C", "POSIX")

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # closed
            return False

    def write(self, text: str) -> int:
        """Writes what the stream takes of a text."""
        if self._stream is not None:
            encoding = self.encoding if self.takes_unicode() or not self.encoding.lower().startswith("utf") else "ascii"
            self._guard(lambda: self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding)))
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Hands on what is buffered."""
        if self._stream is not None:
            self._guard(self._stream.flush)

    def _guard(self, action: Callable[[], Any]) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed, or no file beneath
            try:
                action()
            except OSError as error:
                if error.errno in _GONE:
                    self.forsake()
                else:
                    self.refused = error

    def forsake(self) -> None:
        """Lets what follows go nowhere: what Python has buffered would be tried at exit and turn the exit code into 120."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
