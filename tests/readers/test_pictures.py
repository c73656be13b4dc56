"""Pictures from files: one rule for all kinds, and a code and a sentence for files that are not pictures."""

import contextlib
import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.pictures import as_jpeg, decode
from tests.data.preparation.archives import encoded, photograph

PHOTO = photograph(0)
PIXELS = np.asarray(PHOTO)
JPEG, PNG = encoded(PHOTO), encoded(PHOTO, "PNG")
PROGRESSIVE = encoded(PHOTO, progressive=True)


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(PHOTO, exif=exif)


def png_claiming(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"", "empty-file", "has no bytes"),
        (JPEG[: len(JPEG) // 2], "truncated", "ends before its last pixel"),
        (JPEG[:-4], "truncated", "ends before its last pixel"),
        (PROGRESSIVE[: len(PROGRESSIVE) // 2], "truncated", "ends before its last pixel"),
        (PNG[: len(PNG) // 2], "truncated", "ends before its last pixel"),
        (JPEG[:20], "not-an-image", "its header cannot be read"),
        (b"no picture at all", "not-an-image", "is neither JPEG nor PNG"),
        (b"\n<!DOCTYPE html><html><body>404", "not-an-image", "looks like a web page: the download failed"),
        (b'<?xml version="1.0"?><svg/>', "format-not-allowed", "is SVG; JPEG and PNG are read"),
        (encoded(PHOTO, "GIF"), "format-not-allowed", "is GIF; JPEG and PNG are read"),
        (encoded(PHOTO, "WEBP"), "format-not-allowed", "is WebP; JPEG and PNG are read"),
        (encoded(PHOTO, "TIFF"), "format-not-allowed", "is TIFF; JPEG and PNG are read"),
        (b"SIMPLE  =                    T".ljust(2880), "format-not-allowed", "is FITS; JPEG and PNG are read"),
        (encoded(PHOTO.resize((1, 1))), "too-small", "is 1 x 1 pixels; the minimum side is 8"),
        (encoded(PHOTO.resize((5000, 1)), "PNG"), "too-small", "is 5000 x 1 pixels; the minimum side is 8"),
        (png_claiming(0, 0), "not-an-image", "its header cannot be read"),
        (png_claiming(30000, 30000), "too-large", "claims 30000 x 30000 pixels; at most 64 million are read"),
        (png_claiming(12000, 12000), "too-large", "claims 12000 x 12000 pixels; at most 64 million are read"),
        (PNG[:200] + bytes([PNG[200] ^ 1]) + PNG[201:], "damaged", "cannot be decoded"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_what_is_not_a_picture_has_a_code_and_a_sentence(data, code, sentence):
    with pytest.raises(BadFile) as bad:
        decode(data)
    assert (bad.value.code, str(bad.value)[: len(sentence)]) == (code, sentence)


def test_a_jpeg_cut_anywhere_is_refused():
    for length in range(0, len(JPEG) - 2, 7):
        with pytest.raises(BadFile):
            decode(JPEG[:length])


def test_the_fast_decoder_gives_the_pixels_of_the_other():
    np.testing.assert_array_equal(decode(JPEG), np.asarray(Image.open(io.BytesIO(JPEG))))
    np.testing.assert_array_equal(decode(PROGRESSIVE), np.asarray(Image.open(io.BytesIO(PROGRESSIVE))))


def png(values):
    return cv2.imencode(".png", values)[1].tobytes()


def half_transparent():
    rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 51, np.uint8)])  # one fifth of it to be seen
    return encoded(Image.fromarray(rgba), "PNG")


GREY = np.asarray(PHOTO.convert("L"))
PALETTE = PHOTO.quantize(16)


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (PNG, PIXELS),
        (png(GREY), np.dstack([GREY] * 3)),
        (png(GREY.astype(np.uint16) * 256 + 200), np.dstack([GREY] * 3)),
        (png(PIXELS[..., ::-1].astype(np.uint16) * 256 + 200), PIXELS),
        (encoded(PALETTE, "PNG"), np.asarray(PALETTE.convert("RGB"))),
        (encoded(Image.fromarray(GREY > 127), "PNG"), np.dstack([(GREY > 127) * np.uint8(255)] * 3)),
        (encoded(PHOTO.convert("RGBA"), "PNG"), PIXELS),
    ],
    ids=["RGB", "grey", "grey of 16 bits", "RGB of 16 bits", "palette", "one bit", "opaque alpha"],
)
def test_every_kind_of_png_becomes_rgb_of_8_bits(data, pixels):
    np.testing.assert_array_equal(decode(data), pixels)


def test_alpha_is_laid_over_white():
    np.testing.assert_allclose(decode(half_transparent()), 255 - 0.2 * (255.0 - PIXELS), atol=1)


def test_transparent_entries_of_a_palette_are_white():
    data = encoded(PALETTE, "PNG", transparency=3)
    assert (decode(data)[np.asarray(PALETTE) == 3] == 255).all()


def test_grey_jpegs_repeat_their_channel():
    data = encoded(PHOTO.convert("L"))
    np.testing.assert_array_equal(decode(data), np.dstack([np.asarray(Image.open(io.BytesIO(data)))] * 3))


def test_cmyk_is_taken_as_adobe_writes_it():
    assert np.abs(decode(encoded(PHOTO.convert("CMYK"), quality=95)).astype(int) - PIXELS).mean() < 3


def test_rotation_in_exif_is_ignored():
    np.testing.assert_array_equal(decode(rotated()), decode(JPEG))


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, encoded(PHOTO.convert("L")), rotated()])
def test_an_ordinary_jpeg_stays_as_it_is(data):
    assert as_jpeg(data)[0] == data


@pytest.mark.parametrize("cut", [1, 2])
def test_a_missing_end_marker_is_put_back(cut):
    assert as_jpeg(JPEG[:-cut]) == (JPEG, ("no-end-marker",))


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (PNG, ("format-mismatch",)),
        (encoded(PHOTO.convert("CMYK")), ("cmyk",)),
        (encoded(PHOTO.convert("L")), ("grey",)),
        (png(GREY.astype(np.uint16) * 256), ("format-mismatch", "16-bit")),
        (png(PIXELS.astype(np.uint16) * 256), ("format-mismatch", "16-bit")),
        (png(np.dstack([PIXELS, GREY]).astype(np.uint16) * 256), ("format-mismatch", "16-bit", "alpha")),
        (half_transparent(), ("format-mismatch", "alpha")),
        (encoded(PALETTE, "PNG"), ("format-mismatch", "palette")),
        (encoded(PHOTO.convert("1"), "PNG"), ("format-mismatch", "1-bit")),
        (rotated(), ("exif-rotation",)),
        (encoded(PHOTO, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), ("exif-broken",)),
        (encoded(PHOTO, exif=b"Exif\0\0garbage"), ("exif-broken",)),
        (JPEG, ()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_unusual_is_reported_in_codes(data, codes):
    jpeg, found = as_jpeg(data)
    assert found == codes
    assert jpeg.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("data", [PNG, encoded(PHOTO.convert("CMYK")), half_transparent()], ids=["png", "cmyk", "alpha"])
def test_what_is_encoded_again_keeps_its_pixels(data):
    difference = decode(as_jpeg(data)[0]).astype(int) - decode(data)
    assert np.abs(difference).mean() < 1


def test_broken_exif_warns_of_nothing():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        decode(encoded(PHOTO, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    assert found == []


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_gives_a_picture_or_a_bad_image(seed):
    rng = np.random.default_rng(seed)
    for whole in (JPEG, PROGRESSIVE, PNG):
        for _ in range(40):
            data = bytearray(whole)
            for place in rng.integers(len(data), size=3):
                data[place] = rng.integers(256)
            with contextlib.suppress(BadFile):  # any other exception would end a run
                assert decode(bytes(data)).dtype == np.uint8
