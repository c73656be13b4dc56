"""Ogg files as pages: which parts of a file are streams of their own, put one behind the other as radio does.

By itself: libsndfile reads the first of them alone, in silence.
"""

import mmap
from typing import NamedTuple

from perceiver_jax.readers import BadFile

_PAGE, _FIRST, _LAST = b"OggS", 2, 4  # a page's name, its flags
_HEAD = 27  # bytes of a page before the lengths of its parts
_READ_BY_SOUNDFILE = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")
_NAMES = {b"\x80theora": "theora", b"Speex   ": "speex", b"fishead\0": "skeleton"}


class Link(NamedTuple):
    """One stream of a file."""

    offset: int
    size: int
    ends: bool  # whether its last page says that it is the last
    last: int  # the sample with which the last page begins, in which libsndfile seeks amiss


def links(data: bytes | mmap.mmap) -> list[Link]:
    """The streams of a file that follow one another; none where several run side by side, or some are no plain sound.

    Raises BadFile where there is none.
    """
    found: list[Link] = []
    begins, at, previous, ended, samples = 0, 0, None, False, [0, 0]
    while (at := data.find(_PAGE, at)) >= 0 and at + _HEAD <= len(data):
        flags, lengths = data[at + 5], data[at + _HEAD : at + _HEAD + data[at + 26]]
        body = at + _HEAD + len(lengths)
        if data[at + 4] != 0 or flags > 7:  # not a page
            at += 4
            continue
        if flags & _FIRST:
            if not data[body : body + 8].startswith(_READ_BY_SOUNDFILE) or (previous or 0) & _FIRST:
                return []
            if at:
                found.append(Link(begins, at - begins, ended, samples[-2]))
            begins, samples = at, [0, 0]
        samples = [*samples[-1:], max(samples[-1], int.from_bytes(data[at + 6 : at + 14], "little", signed=True))]
        at = body + sum(lengths)
        previous, ended = flags, bool(flags & _LAST) and at <= len(data)
    if previous is None:
        raise BadFile("truncated", "ends in its first page")
    return [*found, Link(begins, len(data) - begins, ended, samples[-2])]
