"""The names of codings that FFmpeg has no decoder for, and so no name."""

import mmap
import re

from perceiver_jax.errors import printable
from perceiver_jax.readers.media_bytes import Data, opened

# Of each stream, in their order: MP4's four letters, Matroska's names.
_NAMES = {"mov": re.compile(rb"(?s)stsd.{12}(....)"), "matroska": re.compile(rb"\x86[\x80-\xff]([VA]_[A-Z0-9/_.]+)")}


def coding_of(data: Data, kind: str, index: int) -> str:
    """How a stream of a container is coded, in the file's own word; "" where it is not found."""
    if kind not in _NAMES:
        return ""
    if isinstance(data, bytes):
        names = _NAMES[kind].findall(data)
    else:
        with opened(data) as (file, _), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            names = _NAMES[kind].findall(view)
    return printable(names[index].decode("latin-1"), 40) if index < len(names) else ""
