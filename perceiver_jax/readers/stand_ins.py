"""Files that stand for others: what a copy leaves where it took the name for the thing."""

import re

from perceiver_jax.readers import BadFile

MAX_BYTES = 4096  # of a stand-in
_PATH = re.compile(rb"(?:\.{0,2}/|[A-Za-z_])[^\0\r\n]*")
_LFS = b"version https://git-lfs"


def check(data: bytes) -> None:
    """Raises BadFile for a pointer of Git LFS, and for a link to a file that was stored as text."""
    if data.startswith(_LFS):
        raise BadFile("pointer", "is a pointer of Git LFS, without the file")
    path = stored_link(data)
    if re.search(r"\.[A-Za-z]\w{1,4}$", path):
        raise BadFile("stored-link", f"holds the path {path} alone: a link that was stored as text")


def stored_link(data: bytes) -> str:
    """The path that a small text is, as Git leaves it for a link where there are none; "" for anything else."""
    text = data.rstrip(b"\n")
    if len(data) > MAX_BYTES or not _PATH.fullmatch(text):
        return ""
    shown = text.decode(errors="replace")
    return shown if shown.isprintable() else ""
