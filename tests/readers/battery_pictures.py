"""The battery's records of readers of pictures: one upright picture of squares of one colour, in every form of each format.

Right, of bytes of which one was changed, is a picture of the size that they claim where the format has no checksums, and
otherwise the picture alone.
"""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageCms

from perceiver_jax.readers import pictures
from tests.readers.battery import Reader

TOLERANCE = 4  # of 255: what JPEG makes of a colour
COLOURS = [[(250, 250, 250), (250, 10, 10), (10, 10, 250)], [(10, 250, 10), (128, 128, 128), (250, 250, 10)]]
PIXELS = np.array(COLOURS, np.uint8).repeat(16, axis=0).repeat(16, axis=1)  # 32 x 48, in blocks of JPEG's
TURNED = {2: PIXELS[:, ::-1], 3: PIXELS[::-1, ::-1], 6: np.rot90(PIXELS), 8: np.rot90(PIXELS, -1)}  # as they are stored
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BEST = {"quality": 100, "subsampling": 0}
SIDE = 4000  # pixels of a hostile picture


def saved(kind, pixels=PIXELS, **options):
    """The bytes of a file of an image or of pixels."""
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))
    image.save(file, kind, **options)
    return file.getvalue()


def exif_of(orientation):
    """EXIF's data of a picture that is stored in some way."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def turned(kind, **options):
    """A form for each way in which the picture may be stored."""
    return {f"orientation {i}": saved(kind, stored, exif=exif_of(i), **options) for i, stored in TURNED.items()}


def chunk(kind, content):
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, rows, *between):
    """A PNG of rows of bytes, each with its filter in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(between) + data + chunk(b"IEND", b"")


def read(data):
    """The picture as a user sees it."""
    return pictures.decode(data, upright=True)


def same(picture, other):
    """Whether two pictures have the same pixels."""
    return picture.shape == other.shape and bool((np.abs(picture.astype(int) - other) <= TOLERANCE).all())


def as_claimed(picture, data):
    """Whether a picture has the size that its file claims, lying or upright."""
    with warnings.catch_warnings(action="ignore"):  # of what EXIF has become
        width, height = Image.open(io.BytesIO(data)).size
    return picture.dtype == np.uint8 and picture.shape in ((height, width, 3), (width, height, 3))


def only_the_picture(picture, data):
    """Checksums let no other picture pass."""
    return False


def jpeg_forms():
    """JPEG as cameras, phones and programs write it."""
    plain = saved("JPEG", **BEST)
    second = Image.fromarray(PIXELS[::-1])
    return {
        "plain": plain,
        "progressive": saved("JPEG", **BEST, progressive=True),
        "optimised": saved("JPEG", **BEST, optimize=True),
        "restarts": saved("JPEG", **BEST, restart_marker_blocks=2),
        "profile": saved("JPEG", **BEST, icc_profile=PROFILE),
        "remark": saved("JPEG", **BEST, comment=b"\xff\xd9" * 40),
        "preview": saved("JPEG", **BEST, exif=b"Exif\0\0" + saved("JPEG", PIXELS[:8, :8])),
        "two pictures": saved("MPO", Image.fromarray(PIXELS), **BEST, save_all=True, append_images=[second]),
        "film behind": plain + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 9,
        "zeros behind": plain + bytes(100),
        "no end marker": plain[:-2],
        **turned("JPEG", **BEST),
    }


def png_forms():
    """PNG in its kinds of pixels, with what may be beside them."""
    plain, image = saved("PNG"), Image.fromarray(PIXELS)
    start, end = plain[:33], plain[-12:]
    packed = zlib.decompress(plain[41:-16])
    deep = b"".join(b"\0" + row.astype(">u2").tobytes() for row in PIXELS.astype(np.uint16) * 257)
    text = chunk(b"tEXt", b"Comment\0" + b"word " * 100)
    return {
        "plain": plain,
        "alpha": saved("PNG", image.convert("RGBA")),
        "palette": saved("PNG", image.quantize(6)),
        "16 bits": png(48, 32, 16, 2, deep),
        "not packed": start + chunk(b"IDAT", zlib.compress(packed, 0)) + end,
        "pixels in pieces": start + b"".join(chunk(b"IDAT", plain[i : i + 9]) for i in range(41, len(plain) - 16, 9)) + end,
        "text before": start + text + plain[33:],
        "text behind": plain[:-12] + text + end,
        "packed text": start + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))) + plain[33:],
        "profile": saved("PNG", icc_profile=PROFILE),
        "animation": saved("PNG", image, save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]),
        "bytes behind": plain + b"and more",
        **turned("PNG"),
    }


def gif_forms():
    """GIF of one frame and of several."""
    image = Image.fromarray(PIXELS).quantize(6)
    others = [Image.fromarray(PIXELS[::-1]).quantize(6)]
    return {
        "plain": saved("GIF", image),
        "interlaced": saved("GIF", image, interlace=1),
        "not interlaced": saved("GIF", image, interlace=0),
        "remark": saved("GIF", image, comment=b"!,;" * 60),
        "animation": saved("GIF", image, save_all=True, append_images=others, duration=100, loop=0),
        "bytes behind": saved("GIF", image) + b"and more",
    }


def webp_forms():
    """WebP without loss, still and moving."""
    image, lossless = Image.fromarray(PIXELS), {"lossless": True}
    return {
        "plain": saved("WEBP", **lossless),
        "alpha": saved("WEBP", image.convert("RGBA"), exact=True, **lossless),
        "profile": saved("WEBP", icc_profile=PROFILE, **lossless),
        "animation": saved("WEBP", image, save_all=True, append_images=[Image.fromarray(PIXELS[::-1])], **lossless),
        "bytes behind": saved("WEBP", **lossless) + b"and more",
        **turned("WEBP", **lossless),
    }


def bmp_forms():
    """BMP of one and of three bytes a pixel."""
    image = Image.fromarray(PIXELS)
    return {"plain": saved("BMP"), "palette": saved("BMP", image.quantize(6)), "bytes behind": saved("BMP") + b"more"}


def with_scans(scans):
    """A JPEG, the last of its scans repeated."""
    data = saved("JPEG", Image.new("L", (3000, 3000)), progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * scans + data[-2:]


def claiming(data, at, form, *numbers):
    """The bytes with other numbers at a place."""
    return data[:at] + struct.pack(form, *numbers) + data[at + struct.calcsize(form) :]


def png_hostile():
    """PNGs of few bytes that unpack to much."""
    row = b"\0" + bytes(SIDE // 8)
    bomb = zlib.compress(bytes(20_000_000), 9)
    palette = chunk(b"PLTE", bytes(6)), chunk(b"tRNS", b"\x80\x80")
    small = zlib.decompress(saved("PNG")[41:-16])
    return {
        "blank page": png(SIDE, SIDE, 1, 0, row * SIDE),
        "blank transparent page": png(SIDE, SIDE, 1, 3, row * SIDE, *palette),
        "blank page of 16 bits": png(SIDE, SIDE, 16, 0, (b"\0" + bytes(2 * SIDE)) * SIDE),
        "large blank page": claiming(png(64, 64, 1, 0, bytes(9 * 64)), 16, ">II", 8000, 8000),
        "claims": claiming(saved("PNG"), 16, ">II", 2**31 - 1, 2**31 - 1),
        "text": png(48, 32, 8, 2, small, chunk(b"zTXt", b"a\0\0" + bomb)),
        "profile": png(48, 32, 8, 2, small, chunk(b"iCCP", b"a\0\0" + bomb)),
        "chunks": png(48, 32, 8, 2, small, chunk(b"tEXt", b"") * 4000),
        "more pixels than claimed": png(48, 32, 8, 2, bytes(20_000_000)),
    }


READERS = [
    Reader(
        "jpeg",
        jpeg_forms(),
        read,
        same,
        as_claimed,
        hostile={
            "scans": with_scans(70),
            "endless scans": with_scans(500),
            "claims": saved("JPEG").replace(b"\0\x20\0\x30", b"\xff\xff\xff\xff", 1),
        },
    ),
    Reader("png", png_forms(), read, same, only_the_picture, hostile=png_hostile()),
    Reader(
        "gif",
        gif_forms(),
        read,
        same,
        as_claimed,
        hostile={
            "blank page": saved("GIF", Image.new("P", (SIDE, SIDE)), transparency=0),
            "claims": claiming(saved("GIF"), 6, "<HH", 65535, 65535),
            "remarks": saved("GIF")[:-1] + b"!\xfe\1a\0" * 9000,
        },
    ),
    Reader(
        "webp",
        webp_forms(),
        read,
        same,
        as_claimed,
        hostile={
            "blank page": saved("WEBP", Image.new("RGBA", (SIDE, SIDE // 2)), lossless=True),
            "large blank page": claiming(saved("WEBP", exif=exif_of(1)), 24, "<HHH", SIDE, SIDE << 8 & 0xFFFF, SIDE >> 8),
            "claims": claiming(saved("WEBP", exif=exif_of(1)), 24, "<HHH", 16000, 0, 16000),
        },
    ),
    Reader("bmp", bmp_forms(), read, same, as_claimed, hostile={"claims": claiming(saved("BMP"), 18, "<ii", 10**6, 10**6)}),
]
