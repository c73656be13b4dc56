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

from perceiver_jax.readers import BadFile, pictures
from perceiver_jax.readers.pictures import as_jpeg
from tests.data.preparation.archives import encoded, photograph

PHOTO = photograph(0)
PIXELS = np.asarray(PHOTO)
JPEG, PNG = encoded(PHOTO), encoded(PHOTO, "PNG")
PROGRESSIVE = encoded(PHOTO, progressive=True)


def decode(data, upright=False):
    return pictures.decode(data, upright)


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def rotated():
    return encoded(PHOTO, exif=exif_of(6))


def png_claiming(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


def gif_claiming(width, height, frame=None):
    data = bytearray(encoded(PHOTO, "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    if frame:
        at = data.index(b",\0\0\0\0" + struct.pack("<HH", *PHOTO.size))
        data[at + 5 : at + 9] = struct.pack("<HH", *frame)
    return bytes(data)


def webp_claiming(width, height):
    data = bytearray(encoded(PHOTO, "WEBP", exif=exif_of(1)))
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"", "empty-file", "has no bytes"),
        (JPEG[: len(JPEG) // 2], "truncated", "ends before its last pixel"),
        (JPEG[:-4], "truncated", "ends before its last pixel"),
        (PROGRESSIVE[: len(PROGRESSIVE) // 2], "truncated", "ends before its last pixel"),
        (PNG[: len(PNG) // 2], "truncated", "ends before its last pixel"),
        (JPEG[:20], "not-an-image", "its header cannot be read"),
        (b"no picture at all", "not-an-image", "is neither JPEG, PNG, WebP, GIF nor BMP"),
        (b"\n<!DOCTYPE html><html><body>404", "not-an-image", "looks like a web page: the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "pointer", "is a pointer of Git LFS, without the file"),
        (b"../x/cat 0.jpg", "stored-link", "holds the path ../x/cat 0.jpg alone: a link that was stored as text"),
        (b'<?xml version="1.0"?><svg/>', "format-not-allowed", "is SVG; JPEG, PNG, WebP, GIF and BMP are read"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc3"), "format-not-allowed", "is JPEG of a rare kind"),
        (encoded(PHOTO, "TIFF"), "format-not-allowed", "is TIFF; JPEG, PNG, WebP, GIF and BMP are read"),
        (encoded(PHOTO, "AVIF"), "format-not-allowed", "is AVIF; JPEG, PNG, WebP, GIF and BMP are read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "format-not-allowed", "is HEIC; JPEG, PNG, WebP, GIF and BMP are read"),
        (
            b"SIMPLE  =                    T".ljust(2880),
            "format-not-allowed",
            "is FITS; JPEG, PNG, WebP, GIF and BMP are read",
        ),
        (encoded(PHOTO, "GIF")[:-200], "truncated", "ends before its last pixel"),
        (encoded(PHOTO, "GIF")[:300], "truncated", "ends in its header"),
        (encoded(PHOTO, "WEBP")[:-9], "truncated", "ends before its last pixel"),
        (encoded(PHOTO, "BMP")[:-9], "truncated", "ends before its last pixel"),
        (gif_claiming(60000, 60000), "too-large", "claims 60000 x 60000 pixels; at most 200 million are read"),
        (gif_claiming(8, 8, frame=(60000, 60000)), "too-large", "claims 60000 x 60000 pixels; at most 200 million are read"),
        (webp_claiming(16000, 16000), "too-large", "claims 16000 x 16000 pixels; at most 200 million are read"),
        (png_claiming(7000, 7000), "too-large", "claims 7000 x 7000 pixels in"),
        (encoded(PHOTO.resize((1, 1))), "too-small", "is 1 x 1 pixels; the minimum side is 8"),
        (encoded(PHOTO.resize((5000, 1)), "PNG"), "too-small", "is 5000 x 1 pixels; the minimum side is 8"),
        (png_claiming(0, 0), "not-an-image", "its header cannot be read"),
        (png_claiming(30000, 30000), "too-large", "claims 30000 x 30000 pixels; at most 200 million are read"),
        (png_claiming(12000, 12000), "too-large", "claims 12000 x 12000 pixels in"),
        (PNG[:200] + bytes([PNG[200] ^ 1]) + PNG[201:], "damaged", "its part at byte 33 is not what its checksum says"),
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


# Orientation and other formats: what people have on their disks

UPRIGHT = np.zeros((16, 24, 3), np.uint8)
UPRIGHT[:8, :12] = (250, 250, 250)  # a mark at the top left,
UPRIGHT[8:, :12] = (250, 10, 10)  # another below it
# How a camera that was held in some way stores a picture that is upright, by the orientation that it then writes.
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


def saved(pixels, kind, **options):
    return encoded(Image.fromarray(np.ascontiguousarray(pixels)), kind, **options)


WITH_EXIF = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "progressive JPEG": {"quality": 100, "subsampling": 0, "progressive": True},
    "PNG": {},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize("kind", WITH_EXIF)
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_turned_as_exif_says_where_it_is_to_be_upright(kind, orientation):
    data = saved(STORED[orientation], kind.split()[-1], exif=exif_of(orientation), **WITH_EXIF[kind])
    tolerance = 8 if "JPEG" in kind else 0
    np.testing.assert_allclose(decode(data, upright=True).astype(int), UPRIGHT, atol=tolerance)
    np.testing.assert_allclose(decode(data).astype(int), STORED[orientation], atol=tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_counts_whether_or_not_exif_has_a_jpegs_beginning(kind):
    exif = exif_of(3).tobytes().removeprefix(b"Exif\0\0")
    found = [decode(encoded(PHOTO, kind, exif=n * b"Exif\0\0" + exif, lossless=True), upright=True) for n in (0, 1, 2)]
    for one in found[kind == "JPEG" :]:
        np.testing.assert_array_equal(one, decode(encoded(PHOTO, kind, lossless=True))[::-1, ::-1])


def test_orientation_counts_where_exif_comes_behind_a_pngs_pixels():
    data = saved(STORED[6], "PNG", exif=exif_of(6))
    start = data.index(b"eXIf") - 4
    end = start + 12 + struct.unpack(">I", data[start : start + 4])[0]
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    np.testing.assert_array_equal(decode(moved, upright=True), UPRIGHT)


TIFF_6 = struct.pack(">4sIH", b"MM\0*", 8, 1)
BROKEN_EXIF = {
    "garbage": b"garbage",
    "directory far away": b"MM\0*\xff\xff\xff\xff",
    "no directory": b"II*\0",
    "many entries, none there": struct.pack("<4sIH", b"II*\0", 8, 65535),
    "orientation 0": TIFF_6 + struct.pack(">HHIHH", 0x112, 3, 1, 0, 0),
    "orientation 9": TIFF_6 + struct.pack(">HHIHH", 0x112, 3, 1, 9, 0),
    "orientation as text": TIFF_6 + struct.pack(">HHIHH", 0x112, 2, 1, 6, 0),
    "no value": TIFF_6 + struct.pack(">HHIHH", 0x112, 3, 0, 6, 0),
    "cut entry": TIFF_6 + struct.pack(">HHI", 0x112, 3, 1),
}


@pytest.mark.parametrize("exif", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_turns_nothing_and_warns_of_nothing(kind, exif):
    data = encoded(PHOTO, kind, exif=b"Exif\0\0" + exif)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(decode(data, upright=True), decode(data))
    assert found == []


@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("order", "<>")
def test_an_orientation_is_any_whole_number_in_either_order_of_bytes(order, kind):
    value = {1: "B3x", 3: "H2x", 4: "I"}[kind]
    start = struct.pack(order + "4sIH", b"II*\0" if order == "<" else b"MM\0*", 8, 2)
    exif = start + struct.pack(order + "HHIHH", 0x110, 3, 1, 8, 0) + struct.pack(order + "HHI" + value, 0x112, kind, 1, 3)
    data = encoded(PHOTO, "PNG", exif=b"Exif\0\0" + exif)
    np.testing.assert_array_equal(decode(data, upright=True), PIXELS[::-1, ::-1])


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


LONG = b"Comment\0" + b"word " * 500_000
TEXTS = {
    "tEXt": chunk(b"tEXt", LONG),
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(LONG)),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(3_000_000))),
    "a wrong checksum": chunk(b"tEXt", b"a\0b")[:-1] + b"!",
    "many": 4000 * chunk(b"tEXt", b"a\0b"),
    "a bomb": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000))),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("place", [33, -12], ids=["before", "behind"])
def test_the_texts_and_profile_of_a_png_do_not_matter(text, place):
    data = PNG[:place] + text + PNG[place:]
    np.testing.assert_array_equal(decode(data), PIXELS)
    assert as_jpeg(data) == as_jpeg(PNG)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_read(kind):
    first, second = PHOTO.quantize(64).convert("RGB"), Image.new("RGB", PHOTO.size, "red")
    data = encoded(first, kind, save_all=True, append_images=[second], lossless=True)
    np.testing.assert_array_equal(decode(data), np.asarray(first))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP"])
def test_a_picture_of_another_format_has_its_pixels(kind):
    image = PHOTO.quantize(64).convert("RGB")
    np.testing.assert_array_equal(decode(encoded(image, kind, lossless=True)), np.asarray(image))


def test_transparent_pixels_of_gif_and_webp_are_white():
    alpha = np.full(PIXELS.shape[:2], 255, np.uint8)
    alpha[:8] = 0
    webp = encoded(Image.fromarray(np.dstack([PIXELS, alpha])), "WEBP", lossless=True)
    gif = encoded(PALETTE, "GIF", transparency=3)
    assert (decode(webp)[:8] == 255).all()
    np.testing.assert_array_equal(decode(webp)[8:], PIXELS[8:])
    assert (decode(gif)[np.asarray(PALETTE) == 3] == 255).all()


BEHIND = {
    "a film": b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40,
    "zeros": bytes(9000),
    "a second picture": encoded(photograph(1), quality=100),
    "half a picture": encoded(photograph(1), quality=100)[:-5000],
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("start", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
def test_bytes_behind_the_end_of_a_jpeg_do_not_matter(start, behind):
    np.testing.assert_array_equal(decode(start + behind), decode(start))
    assert as_jpeg(start + behind) == (start + behind, ())


def test_a_preview_in_exif_does_not_stand_for_the_end_of_the_picture():
    whole = encoded(PHOTO, exif=b"Exif\0\0" + encoded(photograph(1).resize((16, 16))), quality=100)
    assert as_jpeg(whole[:-2]) == (whole, ("no-end-marker", "exif-broken"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_with_marks_to_restart_at_is_whole_or_cut(mode):
    whole = encoded(PHOTO.convert(mode), restart_marker_blocks=3)
    assert as_jpeg(whole[:-2])[0] == whole
    np.testing.assert_array_equal(decode(whole[:-2]), decode(whole))
    for length in range(whole.index(b"\xff\xda") + 20, len(whole) - 3, 41):
        with pytest.raises(BadFile, match="ends before its last pixel"):
            decode(whole[:length])


def test_only_jpeg_and_png_are_prepared():
    with pytest.raises(BadFile, match="is GIF; JPEG and PNG are read"):
        as_jpeg(encoded(PHOTO, "GIF"))


def test_a_jpeg_of_endless_scans_is_refused_by_their_number():
    image = Image.new("L", (4000, 3900))
    data = encoded(image, progressive=True)
    scans = data[data.index(b"\xff\xda") : -2] * 300
    with pytest.raises(BadFile, match=r"has [\d,]+ scans of 4000 x 3900 pixels"):
        decode(data[:-2] + scans + data[-2:])


@pytest.mark.parametrize(
    "image",
    [
        PHOTO.convert("P"),
        PHOTO.convert("1"),
        Image.fromarray(np.dstack([PIXELS, GREY])),
        Image.fromarray(GREY.astype(np.uint16) * 256),
    ],
    ids=["palette", "one bit", "alpha", "16 bits"],
)
def test_a_picture_that_is_converted_in_bands_is_the_same_as_one_converted_at_once(image, monkeypatch):
    data = encoded(image, "PNG")
    whole = decode(data)
    monkeypatch.setattr(pictures, "_BAND", 5 * image.width)
    np.testing.assert_array_equal(decode(data), whole)


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


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_gives_a_picture_or_a_bad_image(seed):
    rng = np.random.default_rng(seed)
    for whole in (JPEG, PROGRESSIVE, PNG, encoded(PHOTO, "GIF"), encoded(PHOTO, "WEBP"), encoded(PHOTO, "BMP")):
        for _ in range(40):
            data = bytearray(whole)
            for place in rng.integers(len(data), size=3):
                data[place] = rng.integers(256)
            with contextlib.suppress(BadFile):  # any other exception would end a run
                assert decode(bytes(data), upright=True).dtype == np.uint8
