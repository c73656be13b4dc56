"""What the bytes of picture files say about themselves, known before a pixel is decoded or memory is taken for one."""

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

from perceiver_jax.readers import BadFile, stand_ins

FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP")  # that are read; the others below are only known by name
_BEGINNINGS = {
    **{b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP"},
    **{b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF", b"SIMPLE": "FITS"},
    **{b"\0\0\0\x0cjP  ": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000", b"\0\0\1\0": "an icon"},
    **{b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL", b"%!PS": "PostScript", b"%PDF": "PDF", b"8BPS": "PSD"},
}
# In ISO's container of media, from the fifth byte on; the many others are films.
_CONTAINED = {
    **dict.fromkeys((b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")), "HEIC"),
    **{b"ftypavif": "AVIF", b"ftypavis": "AVIF", b"ftypcrx ": "a camera's raw file"},
}
_PNG_START, _PNG_BESIDE = 8, 12  # bytes: before the first chunk, and of each chunk beside its contents
_PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_EXIF = b"Exif\0\0"  # how it begins in a JPEG
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # of bytes, by the beginning of EXIF
_ORIENTATION = 0x0112  # in EXIF
_WHOLE = {1: "B", 3: "H", 4: "I"}  # EXIF's types of whole numbers
_RESTARTS, _RESTART = re.compile(rb"(?s)\xff\xdd\x00\x04(..)"), re.compile(rb"\xff[\xd0-\xd7]")
_RARE = re.compile(rb"\xff[\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]\x00[\x08-\x20][\x02-\x10]")  # such a header of a frame
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # in a JPEG's scan: neither stuffing nor a restart


def format_of(data: bytes, allowed: Sequence[str]) -> str:
    """The format of a file, one of those that are `allowed`; raises BadFile, with what it is instead."""
    if not data:
        raise BadFile("empty-file", "has no bytes")
    start = data[:1024].lower()
    if b"<html" in start or b"<!doctype html" in start:
        raise BadFile("not-an-image", "looks like a web page: the download failed")
    stand_ins.check(data)
    found = next((name for magic, name in _BEGINNINGS.items() if data.startswith(magic)), "SVG" if b"<svg" in start else "")
    if data[8:12] == b"WEBP" and data.startswith(b"RIFF"):
        found = "WebP"
    elif data[4:12] in _CONTAINED:
        found = _CONTAINED[data[4:12]]
    *others, last = allowed
    if found in allowed:
        return found
    if found:
        raise BadFile("format-not-allowed", f"is {found}; {', '.join(others)} and {last} are read")
    raise BadFile("not-an-image", f"is neither {', '.join(others)} nor {last}")


def claimed_size(data: bytes, kind: str) -> tuple[int, int] | None:
    """Width and height in pixels of a WebP or GIF, for which opening the file would already take memory.

    None for formats whose header can be opened without. Raises BadFile where there is no size.
    """
    try:
        match kind:
            case "WebP":
                return _webp_size(data)
            case "GIF":
                return _gif_size(data)
    except (struct.error, IndexError):
        raise BadFile("truncated", "ends in its header") from None
    return None


def _webp_size(data: bytes) -> tuple[int, int]:
    (claimed,) = struct.unpack_from("<I", data, 4)
    if claimed + 8 > len(data):
        raise BadFile("truncated", "ends before its last pixel")
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise BadFile("damaged", "has no picture in its first part")


def _gif_size(data: bytes) -> tuple[int, int]:
    """The size of the canvas, or of the first frame with what is left and above of it, whichever is larger."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[at] == ord("!"):  # an extension: its kind, then blocks up to an empty one
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    if data[at] != ord(","):
        raise BadFile("damaged", "has no frame")
    left, top, wide, high = struct.unpack_from("<4H", data, at + 1)
    return max(width, left + wide), max(height, top + high)


def without_text(data: bytes) -> bytes:
    """A PNG without its texts and its colour profile, which no pixel depends on and which can unpack to any size."""
    kept, start = [], 0
    for kind, at, end in _chunks(data):
        if kind in _PNG_TEXT:
            kept.append(data[start:at])
            start = end
    return b"".join([*kept, data[start:]]) if start else data


def check_sums(data: bytes) -> None:
    """Raises BadFile where a part of a PNG is not what its checksum says, but for texts: Pillow does not look at pixels'."""
    kind, last = b"", _PNG_START
    for kind, at, last in _chunks(data):
        if kind not in _PNG_TEXT and zlib.crc32(data[at + 4 : last - 4]) != int.from_bytes(data[last - 4 : last], "big"):
            raise BadFile("damaged", f"its part at byte {at:,} is not what its checksum says")
    if kind != b"IEND" and len(data) - last >= _PNG_BESIDE:
        raise BadFile("truncated", "ends before its last pixel")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The whole chunks of a PNG: their kind, where they begin and end."""
    at = _PNG_START
    while at + _PNG_BESIDE <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + _PNG_BESIDE + length
        if end > len(data):
            return
        yield kind, at, end
        at = end
        if kind == b"IEND":
            return


def lacks_restarts(data: bytes, blocks: int) -> bool:
    """Whether a JPEG of one scan of `blocks` units has fewer marks to restart at than its header says.

    What is missing between two of them, or behind the last, a decoder fills in silence.
    """
    header, _, scan = data.partition(b"\xff\xda")
    found = _RESTARTS.search(header)
    interval = int.from_bytes(found[1], "big") if found else 0
    return interval > 0 and len(_RESTART.findall(scan)) < (blocks - 1) // interval


def is_rare(data: bytes) -> bool:
    """Whether a JPEG is coded in a way that is almost never used, nor decoded."""
    return _RARE.search(data.partition(b"\xff\xda")[0]) is not None


def has_end(data: bytes) -> bool:
    """Whether a JPEG's scans are followed by the end marker: neither one of a preview before them nor one behind counts."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xD9:
            return True
        if marker == 0xFF or marker == 1 or 0xD0 <= marker <= 0xD8:  # filling, and what stands alone
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            found = _MARKER.search(data, at)
            if not found:
                return False
            at = found.end() - 2
    return data[at : at + 2] == b"\xff\xd9"


def orientation(exif: bytes) -> int:
    """EXIF's orientation, from 1, upright, to 8; 1 where it has none or is broken.

    By itself: a library that reads all tags warns of the broken ones, which threads cannot silence one by one.
    """
    data = exif.removeprefix(_EXIF).removeprefix(_EXIF)  # some programs write it into PNGs too, which have it already
    if data[:4] not in _ORDERS:
        return 1
    order = _ORDERS[data[:4]]
    with contextlib.suppress(struct.error):
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
            if tag == _ORIENTATION and kind in _WHOLE and number:
                (value,) = struct.unpack_from(order + _WHOLE[kind], data, entry + 8)
                return value if 1 <= value <= 8 else 1
    return 1
