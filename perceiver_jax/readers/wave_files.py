"""Where the samples of a WAV file and of its kin (RIFX, RF64, BW64, Wave64) are, and in what form."""

import struct
from io import BufferedIOBase

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.stored_samples import Samples, check_claims, chunks, data_there, floats, integers

_EXTENSIBLE = 0xFFFE
_PCM, _FLOAT = 1, 3
_LAWS = {6: "ALAW", 7: "ULAW"}
_NAMES = {
    2: "MS ADPCM",
    0x11: "IMA ADPCM",
    0x31: "GSM",
    0x45: "G.726",
    0x55: "MP3",
    0xFF: "AAC",
    0x161: "WMA",
    0x2000: "AC-3",
}
_FORM_BYTES = 64  # of its description that are looked at


def read_wave(file: BufferedIOBase, size: int) -> Samples | str:
    """Where the samples are, or the name of the coding of those that are compressed; raises BadFile."""
    start = file.read(4)
    order = ">" if start == b"RIFX" else "<"
    form, in_64_bits = b"", None
    for name, offset, claimed in chunks(file, size, order, wide=start == b"riff"):
        file.seek(offset)
        if name == b"ds64" and claimed >= 16:
            in_64_bits = struct.unpack("<Q", file.read(16).ljust(16, b"\0")[8:])[0]
        elif name == b"fmt ":
            form = file.read(min(max(claimed, 0), _FORM_BYTES))
        elif name == b"data":
            if len(form) < 14:
                raise BadFile("header", "does not say how its samples are stored")
            if in_64_bits is not None and claimed == 2**32 - 1:
                claimed = in_64_bits
            there = data_there(claimed, offset, size, order, file)
            return _samples(form, offset, there, there != claimed, order)
    raise BadFile("no-samples", "has a header and no samples")


def _samples(form: bytes, offset: int, there: int, streamed: bool, order: str) -> Samples | str:
    tag, channels, rate, _, align = struct.unpack_from(order + "HHIIH", form)
    bits = struct.unpack_from(order + "H", form, 14)[0] if len(form) >= 16 else 8
    if tag == _EXTENSIBLE and len(form) >= 26:
        (tag,) = struct.unpack_from(order + "H", form, 24)
    check_claims(channels, rate)
    width = -(-bits // 8)
    if tag in _LAWS:
        width, subtype = 1, _LAWS[tag]
    elif tag == _FLOAT:
        subtype = floats(width)
    elif tag == _PCM:
        if bits >= 8 and align % channels == 0:
            width = max(width, align // channels)  # the lower bytes may be empty
        subtype = integers(bits, width, signed_bytes=False)
    else:
        return next((name for number, name in _NAMES.items() if number == tag), f"{tag:#06x}")
    length = there // (width * channels)
    if not length:
        raise BadFile("no-samples", "has a header and no samples")
    return Samples(subtype, width, channels, rate, "LITTLE" if order == "<" else "BIG", offset, length, streamed)
