"""The lines of text files of numbers: all ended alike, none too long to hold in memory; and their words."""

import codecs
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from perceiver_jax.errors import printable
from perceiver_jax.readers import BadFile

MAX_LINE_BYTES = 1_000_000

_BLANKS = np.isin(np.arange(256), list(b" \t\n\v\f\r"))
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}  # by how a file of such text begins


def lines_of(data: bytes, most: int = MAX_LINE_BYTES) -> bytes:
    r"""The text with `\n` at the end of each line, whatever was there; raises BadFile naming a line of more than `most`.

    A byte-order mark goes, two bytes a character become UTF-8, and the ends of files that other systems write, zeros or
    a control character, are no part of it.
    """
    if is_wide(data):
        data = data[2:].decode(_WIDE[data[:2]], "replace").encode("utf-8", "replace")
    text = data.removeprefix(codecs.BOM_UTF8).rstrip(b"\0\x1a")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(text)) - 1
    if lengths.max() > most:
        number = int(np.argmax(lengths > most)) + 1
        raise BadFile("line-too-long", f"line {number}: is longer than {most:,} bytes")
    return text


def is_wide(data: bytes) -> bool:
    """Whether bytes are a text of two bytes a character."""
    return data[:2] in _WIDE


class Words(NamedTuple):
    """The words of a text, which blanks separate, and their lines."""

    text: bytes
    first_line: int  # the number of the text's first line in its file, from 1
    starts: Int64[np.ndarray, " words"]  # where each begins
    lines: Int64[np.ndarray, " lines"]  # of those that are not blank, the index in the text
    widths: Int64[np.ndarray, " lines"]  # how many words each has

    @classmethod
    def of(cls, text: bytes, first_line: int = 1) -> "Words":
        """The words of a text as `lines_of` has it."""
        ends = np.append(np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")), len(text))
        starts = word_starts(text)
        widths = np.diff(np.searchsorted(starts, ends), prepend=0)
        filled = np.flatnonzero(widths)
        return cls(text, first_line, starts, filled, widths[filled])

    def behind(self, row: int) -> "Words":
        """The words of the lines behind one that is not blank."""
        used, row = int(self.widths[: row + 1].sum()), row + 1
        at = self.text.rfind(b"\n", 0, int(self.starts[used])) + 1 if used < len(self.starts) else len(self.text)
        skipped = self.lines[row] if row < len(self.lines) else 0
        number = int(self.first_line + skipped)
        return Words(self.text[at:], number, self.starts[used:] - at, self.lines[row:] - skipped, self.widths[row:])

    def picked(self, wanted: Bool[np.ndarray, " words"]) -> Bool[np.ndarray, " characters"]:
        """Which characters are of some words, or of the blanks behind each."""
        before = int(self.starts[0]) if len(self.starts) else len(self.text)
        return np.append(np.zeros(before, bool), wanted.repeat(np.diff(self.starts, append=len(self.text))))

    def numbers(self) -> Float64[np.ndarray, " words"] | None:
        """The words as numbers; None where one is not a number."""
        return numbers(self.text, int(self.widths.sum()))

    def firsts(self) -> Int64[np.ndarray, " lines"]:
        """Of each line that is not blank the index of its first word."""
        return np.cumsum(self.widths) - self.widths

    def number(self, row: int) -> int:
        """The number in the file of a line that is not blank."""
        return int(self.lines[row]) + self.first_line

    def line(self, row: int) -> str:
        """A line that is not blank, as it can be shown."""
        return shown(self.text.split(b"\n")[self.lines[row]])


def word_starts(text: bytes) -> Int64[np.ndarray, " words"]:
    """Where the words of a text begin, which blanks separate."""
    blank = _BLANKS[np.frombuffer(text, np.uint8)]
    begins = ~blank
    begins[1:] &= blank[:-1]
    return np.flatnonzero(begins)


def numbers(text: bytes, count: int) -> Float64[np.ndarray, " count"] | None:
    """As many numbers as are expected, separated by blanks; None where a text holds anything else."""
    try:
        values = np.fromstring(text, sep=" ")  # of text: five times as fast as float() of each word
    except ValueError:
        return None
    return values if len(values) == count else None


def is_number(word: bytes) -> bool:
    """Whether `numbers` reads a word."""
    return numbers(word, 1) is not None


def shown(line: bytes) -> str:
    """A line of a file for a message."""
    return printable(line.strip()[:200].decode("utf-8", "backslashreplace"), 80)
