"""Sounds that libsndfile reads: samples as they are stored, FLAC, Ogg with Vorbis or Opus, MP3 whose tag is right.

Mono is the mean of the channels. Floats above 1 are kept, as far as `mixing` has it.
"""

import contextlib
import dataclasses
import mmap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from perceiver_jax.readers import BadFile, containers, ogg_pages
from perceiver_jax.readers.aiff_files import read_aiff
from perceiver_jax.readers.au_files import read_au, read_caf
from perceiver_jax.readers.media_bytes import Data, Part, behind_tags, opened
from perceiver_jax.readers.mixing import mono
from perceiver_jax.readers.optional import package
from perceiver_jax.readers.stored_samples import Samples, check_claims
from perceiver_jax.readers.wave_files import read_wave

_BEFORE = 16_384  # samples that Vorbis must have decoded before those that are wanted
_BLOCK = 2**20  # numbers that are decoded at once
_STORED: dict[str, Callable[..., Samples | str]] = {
    **{"wav": read_wave, "w64": read_wave, "aiff": read_aiff, "au": read_au, "caf": read_caf}
}
_BY_SOUNDFILE = ("MS ADPCM", "IMA ADPCM", "ima4", "alac")  # of the compressed ones
_TAGS = (b"Xing", b"Info")  # of MP3, in its first frame
_TAG_WITHIN = 0.005  # of the bytes that the tag counts; mpg123 prints a warning from 0.01 on
_FIRST_FRAME = 1500  # bytes; a frame has at most 1,441
_UNKNOWN = 2**62  # frames and more: what libsndfile says of FLAC that does not say


class Piece(NamedTuple):
    """Bytes of a file that libsndfile reads as one sound."""

    offset: int
    size: int
    length: int  # frames
    stored: Samples | None  # None: libsndfile finds out by itself
    last: int = _UNKNOWN  # the last sample from which on may be read


@dataclasses.dataclass(frozen=True)
class Sound:
    """The sound of a file, mono and at its own rate: pieces that follow one another."""

    data: Data = dataclasses.field(repr=False)
    rate: int
    pieces: tuple[Piece, ...]

    @property
    def seconds(self) -> float:
        """Its length."""
        return sum(piece.length for piece in self.pieces) / self.rate

    def read(self, first: int, last: int) -> Float32[np.ndarray, " samples"]:
        """The samples from `first` to before `last`, fewer where the sound ends; raises BadFile."""
        blocks, begins = [np.zeros(0, np.float32)], 0
        for piece in self.pieces:
            start, end = max(first - begins, 0), min(last - begins, piece.length)
            if start < end:
                blocks += _blocks(self.data, piece, start, end)
            begins += piece.length
        return np.concatenate(blocks)


def _blocks(data: Data, piece: Piece, start: int, end: int) -> Iterator[Float32[np.ndarray, " samples"]]:
    with _soundfile(data, piece) as file:
        kind = "float64" if file.subtype == "DOUBLE" else "float32"  # a larger number is then still told from infinity
        may_be_large = file.subtype in ("FLOAT", "DOUBLE") or file.format == "OGG"
        before = _BEFORE if file.format == "OGG" else 0
        while start < end:
            heard = max(0, min(start, piece.last) - before)
            file.seek(heard)  # each read does so too: soundfile looks for where it is
            count = min(end - start, max(1, _BLOCK // file.channels))
            block = file.read(start - heard + count, kind, always_2d=True)[start - heard :]
            if not len(block):
                raise BadFile("truncated", f"ends {end - start:,} samples before its header says")
            if piece.stored is not None and piece.stored.width == 8 and kind == "float32":
                block = block[:, (0 if piece.stored.order == "BIG" else 1) :: 2]  # the upper halves
            start += len(block)
            yield mono(block.T, checked=may_be_large)


class Found(NamedTuple):
    """What libsndfile makes of a file."""

    sound: Sound | None  # None where it does not read it rightly
    notes: tuple[str, ...] = ()  # what a user should know, in codes
    coding: str = ""  # of samples that it does not read


def open_sound(data: Data, kind: str) -> Found:
    """The sound of a file of some kind; raises BadFile."""
    if kind in _STORED:
        return _stored(data, kind)
    if kind == "ogg":
        return _ogg(data)
    return _counted(data, kind) if kind in ("flac", "mp3") else Found(None)


def _stored(data: Data, kind: str) -> Found:
    with opened(data) as (file, size):
        found = _STORED[kind](file, size)
        file.seek(0)
        big_endian = file.read(4) == b"RIFX"
    if isinstance(found, str):
        sound = _whole(data, size) if found in _BY_SOUNDFILE else None
        if sound is None and big_endian:
            raise BadFile("encoding", f"is in {found}, which is not read in big-endian files")
        return Found(sound, coding=found)
    piece = Piece(found.offset, found.length * found.width * found.channels, found.length, found)
    return Found(Sound(data, found.rate, (piece,)), ("streamed-header",) if found.streamed else ())


def _whole(data: Data, size: int, offset: int = 0, last: int = _UNKNOWN) -> Sound | None:
    """The sound of a file, or of some bytes of it, as libsndfile finds it; None where it does not."""
    piece = Piece(offset, size, 0, None, last)
    try:
        with _soundfile(data, piece) as file:
            check_claims(file.channels, file.samplerate)
            usable = file.seekable() and file.frames
            return Sound(data, file.samplerate, (piece._replace(length=file.frames),)) if usable else None
    except BadFile as bad:
        if bad.code == "damaged":
            return None
        raise


def _ogg(data: Data) -> Found:
    if isinstance(data, bytes):
        links = ogg_pages.links(data)
    else:
        with opened(data) as (file, _), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            links = ogg_pages.links(view)
    cut = bool(links) and not links[-1].ends
    notes = ("cut-off",) * cut + ("joined",) * (len(links) > 1)
    sounds = [_whole(data, link.size, link.offset, link.last) for link in links]
    if cut and sounds[-1] is None:
        raise BadFile("truncated", "ends before its first sample")
    if not links or None in sounds:
        return Found(None, notes)
    rates = sorted({sound.rate for sound in sounds})
    if len(rates) > 1:
        raise BadFile("encoding", f"its sampling rate changes between {rates[0]:,} and {rates[-1]:,} Hz")
    return Found(Sound(data, rates[0], tuple(sound.pieces[0] for sound in sounds)), notes)


def _counted(data: Data, kind: str) -> Found:
    """The sound of FLAC or MP3 whose header or tag counts what is there."""
    with opened(data) as (file, size):
        start = behind_tags(file, size)
        file.seek(start)
        claimed = _tagged(file.read(_FIRST_FRAME)) if kind == "mp3" else None
    if kind == "mp3" and (claimed is None or abs(size - start - claimed) > _TAG_WITHIN * claimed):
        is_cut = claimed is not None and size - start < claimed
        return Found(None, ("other-length",) * is_cut)
    sound = _whole(data, size)
    if sound is None:
        return Found(None)
    count, longest, joined = containers.samples_of(data, kind)
    length = sound.pieces[0].length
    if kind == "flac" and count < length < _UNKNOWN:
        raise BadFile("truncated", f"its header promises {length:,} samples; {count:,} are there")
    if length == count if kind == "flac" else abs(count - length - longest) <= 2 * longest:
        return Found(sound)
    return Found(sound if kind == "flac" and joined else None, ("other-length",))


def _tagged(start: bytes) -> int | None:
    """The bytes that the tag of an MP3 counts, in its first frame; None where it has none."""
    at = next((at for tag in _TAGS if (at := start.find(tag)) >= 0), -1)
    if at < 0 or not start[at + 7] & 2:
        return None
    place = at + 8 + (4 if start[at + 7] & 1 else 0)
    return int.from_bytes(start[place : place + 4], "big")


@contextlib.contextmanager
def _soundfile(data: Data, piece: Piece) -> Iterator[Any]:
    """A sound open in libsndfile; raises BadFile for what it cannot read."""
    soundfile = package("soundfile")
    with opened(data) as (file, size):
        raw = file.fileno() if not isinstance(data, bytes) and piece.size == size else file
        if piece.size < size:
            raw = Part(file, piece.offset, piece.size)
        form: dict[str, Any] = {}
        if piece.stored is not None:
            two = 2 if piece.stored.width == 8 and piece.stored.subtype == "PCM_32" else 1
            form = {"samplerate": piece.stored.rate, "channels": piece.stored.channels * two, "format": "RAW"}
            form |= {"subtype": piece.stored.subtype, "endian": piece.stored.order}
        try:
            with soundfile.SoundFile(raw, closefd=False, **form) as sound:
                yield sound
        except soundfile.LibsndfileError as error:
            raise BadFile("damaged", f"cannot be decoded: {error.error_string}") from None
