"""Pictures from the bytes of image files, by one rule for training, evaluation and preparation.

The rule: RGB of 8 bits, the first frame of several. Grey is repeated; palettes are looked up; alpha is laid over white; of
16 bits the upper 8 count; CMYK is taken as Adobe writes it, inverted. Colour profiles are ignored. EXIF's orientation counts
where the caller says so: a published data set is read as those read it who report on it.

Headers are read by Pillow, which also decodes whatever is not ordinary; ordinary JPEGs, nearly all, are decoded by
OpenCV: the same pixels, 1.4 times as fast at 500 x 375 (1,270 and 910 a second on one core).
"""

import functools
import io
import math
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from perceiver_jax.readers import BadFile, picture_files
from perceiver_jax.readers.opencv import opencv

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

Pixels = UInt8[np.ndarray, "H W 3"]

# Browsers and phones write JPEG under several. A file is read by what it holds, whatever its name says.
SUFFIXES = tuple(".jpg .jpeg .jpe .jfif .jif .pjpeg .pjp .mpo .png .apng .webp .gif .bmp .dib".split())
MIN_SIDE = 8  # pixels; less is a tracking pixel or a failed download
MAX_PIXELS = 200_000_000  # phones take 108 million; a file of some kB can claim billions
MAX_PER_BYTE = 250  # pixels; photographs have 1 to 20
# Pixels up to which a file may have any number of them a byte, as blank pages do; WebP is decoded into four copies.
DENSE_PIXELS = {"JPEG": 16_000_000, "PNG": 16_000_000, "GIF": 16_000_000, "BMP": 16_000_000, "WebP": 8_000_000}
MAX_SCANNED = 700_000_000  # pixels times scans of a progressive JPEG, which has 10: each is an effort for the whole
REENCODED = ("JPEG", "PNG")  # what `as_jpeg` takes
REENCODED_QUALITY = 100  # of JPEG, as TensorFlow Datasets writes other formats

_END, _SCAN = b"\xff\xd9", b"\xff\xda"  # of a JPEG: its end, the start of a scan
_PNG_DEPTH = 24  # where a PNG says how many bits a channel has
_BAND = 2**20  # pixels that are converted at once
# EXIF's orientations: whether rows become columns, and then in which way OpenCV mirrors (1: left to right, 0: up, -1: both).
_TURNS = {2: (False, 1), 3: (False, -1), 4: (False, 0), 5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0)}
_READERS = {
    "JPEG": ("JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PngImagePlugin", "PngImageFile"),
    "WebP": ("WebPImagePlugin", "WebPImageFile"),
    "GIF": ("GifImagePlugin", "GifImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
}


def decode(data: bytes, upright: bool) -> Pixels:
    """The picture in the bytes of a file, turned as EXIF says if it is to be `upright`; raises BadFile."""
    header = _open(data, picture_files.FORMATS)
    if header.format == "PNG":
        picture_files.check_sums(data)
    pixels = _pixels(header, data)
    turn = picture_files.orientation(header.info["exif"]) if upright and "exif" in header.info else 1
    return pixels if turn == 1 else _turned(pixels, turn)


def as_jpeg(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a JPEG of the same picture, and what is unusual about the given ones, in codes.

    An ordinary JPEG stays as it is, byte for byte; one that only lacks its end marker gets it; PNG and JPEGs of other kinds
    are encoded again, and nothing else is taken. Every pixel has been decoded once, as it is stored. Raises BadFile.
    """
    header = _open(data, REENCODED)
    pixels = _pixels(header, data)
    found = _kind(header, data) + _exif(header)
    if not _is_ordinary(header):
        buffer = io.BytesIO()
        _pillow().Image.fromarray(pixels).save(buffer, "JPEG", quality=REENCODED_QUALITY, subsampling=0)
        return buffer.getvalue(), found
    if _END not in data[-len(data) // 2 :] and not picture_files.has_end(data):
        return data.rstrip(b"\xff") + _END, ("no-end-marker", *found)
    return data, found


def _open(data: bytes, allowed: Sequence[str]) -> "ImageFile":
    """The file with its header read, its format and size allowed."""
    kind = picture_files.format_of(data, allowed)
    claimed = picture_files.claimed_size(data, kind)
    if claimed is not None:
        _check_size(claimed, data, kind)
    module, reader = _READERS[kind]
    opener: Callable = getattr(getattr(_pillow(), module), reader)  # not Image.open: that warns of large pictures
    try:
        with warnings.catch_warnings(action="ignore"):  # of broken EXIF data
            header = opener(io.BytesIO(picture_files.without_text(data) if kind == "PNG" else data))
    except Exception as error:  # noqa: BLE001 a damaged file can raise anything in a reader
        if "nsupported" in str(error) or "cannot handle" in str(error):
            raise BadFile("format-not-allowed", f"is {kind} of a kind that is not read: {error}") from None
        raise BadFile("not-an-image", f"its header cannot be read: {error or type(error).__name__}") from None
    _check_size(header.size, data, kind)
    if "progressive" in header.info and header.width * header.height * data.count(_SCAN) > MAX_SCANNED:
        raise BadFile("too-large", f"has {data.count(_SCAN):,} scans of {header.width} x {header.height} pixels")
    return header


def _check_size(size: tuple[int, int], data: bytes, kind: str) -> None:
    """Raises BadFile for a width and height that no picture in these bytes has."""
    width, height = size
    if min(width, height) < MIN_SIDE:
        raise BadFile("too-small", f"is {width} x {height} pixels; the minimum side is {MIN_SIDE}")
    if width * height > MAX_PIXELS:
        raise BadFile("too-large", f"claims {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are read")
    if width * height > max(DENSE_PIXELS[kind], MAX_PER_BYTE * len(data)):
        raise BadFile("too-large", f"claims {width} x {height} pixels in {len(data):,} bytes")


def _pixels(header: "ImageFile", data: bytes) -> Pixels:
    """The picture as it is stored."""
    if _is_ordinary(header):
        cv2 = opencv()
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)  # None for any picture that is cut off
        if pixels is not None:
            return pixels
    return _rgb(_loaded(header, data))


def _turned(pixels: Pixels, orientation: int) -> UInt8[np.ndarray, "height width 3"]:
    """The picture as it is to be seen."""
    cv2 = opencv()
    swap, mirror = _TURNS[orientation]
    pixels = cv2.transpose(pixels) if swap else pixels
    return pixels if mirror is None else cv2.flip(pixels, mirror)


def _is_ordinary(header: "ImageFile") -> bool:
    return header.format == "JPEG" and header.mode in ("L", "RGB")


def _kind(header: "ImageFile", data: bytes) -> tuple[str, ...]:
    """In codes, what is unusual about the format."""
    found = ("format-mismatch",) if header.format != "JPEG" else ()
    grey_of_16_bits = header.mode.startswith("I")
    if grey_of_16_bits or (header.format == "PNG" and data[_PNG_DEPTH] == 16):  # Pillow's mode of the others is that of 8
        found += ("16-bit",)
    if grey_of_16_bits:
        return found
    if header.has_transparency_data:
        return (*found, "alpha")
    return found + {"RGB": (), "L": ("grey",), "1": ("1-bit",), "P": ("palette",), "CMYK": ("cmyk",)}[header.mode]


def _exif(header: "ImageFile") -> tuple[str, ...]:
    """What preparation leaves as it is of a picture's EXIF data, in codes."""
    if "exif" not in header.info:
        return ()
    exif = _pillow().Image.Exif()
    with warnings.catch_warnings(action="error"):
        try:
            exif.load(header.info["exif"])
        except Exception:  # noqa: BLE001 any error in data that is not used
            return ("exif-broken",)
    return ("exif-rotation",) if picture_files.orientation(header.info["exif"]) != 1 else ()


def _loaded(header: "ImageFile", data: bytes) -> "ImageFile":
    """The picture decoded by Pillow."""
    try:
        header.load()
        return header
    except Exception as error:  # noqa: BLE001 a damaged file can raise anything in a decoder
        cut_off = "truncated" in str(error)
        if cut_off and header.format == "JPEG" and "progressive" not in header.info:
            whole = _without_end(header, data)
            if whole is not None:
                return whole
        if cut_off:
            raise BadFile("truncated", "ends before its last pixel") from None
        if header.format == "JPEG" and picture_files.is_rare(data):
            raise BadFile("format-not-allowed", "is JPEG of a rare kind, without loss or of arithmetic codes") from None
        raise BadFile("damaged", f"cannot be decoded: {error or type(error).__name__}") from None


def _without_end(header: "ImageFile", data: bytes) -> "ImageFile | None":
    """The picture of a JPEG that lacks its end marker; None where pixels are missing too.

    Then what is put behind the file's last bytes would be decoded in their place, so two things give two pictures.
    A progressive file could lack whole scans without this being seen.
    """
    if picture_files.lacks_restarts(data, _units(header)):
        return None
    pictures = []
    for filling in (b"\x55", b"\xaa"):
        try:
            completed = io.BytesIO(data.rstrip(b"\xff") + 64 * filling + _END)
            pictures.append(_pillow().JpegImagePlugin.JpegImageFile(completed))
            pictures[-1].load()
        except (SyntaxError, OSError, ValueError):
            return None
    return pictures[0] if pictures[0].tobytes() == pictures[1].tobytes() else None


def _units(header: "ImageFile") -> int:
    """How many blocks of pixels, of all channels together, a JPEG of one scan is coded in."""
    across, down = (max(layer[place] for layer in header.layer) if len(header.layer) > 1 else 1 for place in (1, 2))
    return math.ceil(header.width / (8 * across)) * math.ceil(header.height / (8 * down))


def _rgb(image: "ImageFile") -> Pixels:
    """The pixels, converted some rows at a time: Pillow's own of a whole picture would take many times its memory."""
    convert = lambda band: band.convert("RGB")  # noqa: E731
    if image.mode.startswith("I"):
        convert = _upper_bits
    elif image.has_transparency_data:
        convert = _over_white
    rows = max(1, _BAND // image.width)
    if rows >= image.height:
        return np.array(convert(image))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        pixels[top : top + rows] = convert(image.crop((0, top, image.width, min(top + rows, image.height))))
    return pixels


def _upper_bits(image: "Image") -> Pixels:
    upper = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)  # Pillow would clip at 255
    return np.repeat(upper[..., None], 3, axis=2)


def _over_white(image: "Image") -> "Image":
    pillow = _pillow()
    white = pillow.Image.new("RGBA", image.size, "white")
    return pillow.Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


@functools.cache
def _pillow() -> ModuleType:
    """Pillow with its readers, imported by the first picture."""
    import PIL
    from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    return PIL
