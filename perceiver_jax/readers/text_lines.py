"""The lines of text files of numbers: all ended alike, none too long to hold in memory."""

import numpy as np

from perceiver_jax.readers import BadFile

MAX_LINE_BYTES = 1_000_000


def lines_of(data: bytes) -> bytes:
    r"""The text with `\n` at the end of each line, whatever was there; raises BadFile naming a line that is too long."""
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1, append=len(text)) - 1
    if lengths.max() > MAX_LINE_BYTES:
        number = int(np.argmax(lengths > MAX_LINE_BYTES)) + 1
        raise BadFile("line-too-long", f"line {number}: is longer than {MAX_LINE_BYTES:,} bytes")
    return text
