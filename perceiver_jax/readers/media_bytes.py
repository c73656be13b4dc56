"""The bytes of a recording, in memory or in a file, which may be larger than memory; and what kind they are of."""

import contextlib
import io
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from perceiver_jax.readers import BadFile, stand_ins

_MAX_TAGS = 8
_START = 4096  # bytes that tell what a file is
_MARKS = {
    **{b"RIFX": "wav", b"RF64": "wav", b"BW64": "wav", b"riff\x2e\x91\xcf\x11": "w64"},
    **{b".snd": "au", b"caff": "caf", b"fLaC": "flac", b"OggS": "ogg", b"\x1a\x45\xdf\xa3": "matroska", b"FLV\1": "flv"},
    **{b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf", b"\0\0\1\xba": "mpeg", b"#!AMR": "amr", b"\x0b\x77": "ac3"},
    **{b"wvpk": "wv", b"MAC ": "ape", b"TTA1": "tta"},
}
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx")
_OTHERS = {  # what people hand in instead
    **{b"\xff\xd8\xff": "a picture (JPEG)", b"\x89PNG": "a picture (PNG)", b"GIF8": "a picture (GIF)", b"%PDF": "PDF"},
    **{b"MThd": "MIDI, which holds notes and no sound", b"PK\3\4": "a zip archive", b"\x1f\x8b": "packed (gzip)"},
    **{b"#EXTM3U": "a list of files (M3U)", b"BM": "a picture (BMP)"},
}
_TS_PACKET, _TS_SYNC = 188, 0x47
Data = bytes | Path


@contextlib.contextmanager
def opened(data: Data) -> Iterator[tuple[BufferedIOBase, int]]:
    """The bytes as a file, and how many they are; raises BadFile where the system does not give them."""
    try:
        with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            yield file, size
    except OSError as error:
        raise BadFile("unreadable", f"cannot be read: {error.strerror or error}") from None


class Part(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, file: BufferedIOBase, offset: int, size: int):
        self._file, self._offset, self._size = file, offset, size
        file.seek(offset)

    def seekable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read, from the part's first on."""
        return self._file.tell() - self._offset

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place of the part."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._file.seek(self._offset + max(0, start + place))
        return self.tell()

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer, as far as the part has bytes."""
        block = self._file.read(max(0, min(len(buffer), self._size - self.tell())))
        buffer[: len(block)] = block
        return len(block)


def kind_of(data: Data) -> str:
    """What a recording is by its bytes, in FFmpeg's word for it; "" where its first bytes do not tell, as MP3's.

    Raises BadFile for what is no recording.
    """
    with opened(data) as (file, size):
        start = file.read(_START)
        if not start:
            raise BadFile("empty-file", "has no bytes")
        lower = start[:1024].lower()
        if b"<html" in lower or b"<!doctype html" in lower:
            raise BadFile("web-page", "looks like a web page: the download failed")
        stand_ins.check(start if size <= _START else start[:40])
        file.seek(behind_tags(file, size))
        start = file.read(_START)
    found = _kind(start)
    if not found and b"\xff" not in start and b"\0" not in start:
        raise not_a_recording()
    other = next((name for mark, name in _OTHERS.items() if start.startswith(mark)), "")
    if other:
        raise BadFile("not-a-recording", f"is {other}")
    return found


def behind_tags(file: BufferedIOBase, size: int) -> int:
    """Where a file begins behind its ID3 tags: titles and covers."""
    at = 0
    for _ in range(_MAX_TAGS):
        file.seek(at)
        head = file.read(10)
        if head[:3] != b"ID3" or len(head) < 10 or at >= size:
            break
        at += 10 + sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(head[6:])))
    return at


def not_a_recording() -> BadFile:
    """What is said of bytes of no known kind."""
    return BadFile("not-a-recording", "is neither sound nor film of a kind that is read")


def _kind(start: bytes) -> str:
    if start.startswith((b"RIFF", b"FORM")):
        forms = {b"WAVE": "wav", b"AVI ": "avi", b"AIFF": "aiff", b"AIFC": "aiff"}
        return next((kind for form, kind in forms.items() if start[8:12] == form), "")
    marked = next((kind for mark, kind in _MARKS.items() if start.startswith(mark)), "")
    if marked or start[4:8] in _BOXES:
        return marked or "mov"
    return "mpegts" if _is_transport(start) else ""


def _is_transport(start: bytes) -> bool:
    """Whether these are packets of MPEG-TS, perhaps with a time of 4 bytes before each, perhaps cut within one."""
    return any(
        len(start) > at + 2 * step and all(start[at + i * step] == _TS_SYNC for i in range(3))
        for step in (_TS_PACKET, _TS_PACKET + 4)
        for at in range(step)
    )
