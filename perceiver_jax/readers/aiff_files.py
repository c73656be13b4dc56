"""Where the samples of AIFF and AIFF-C files are, and in what form."""

import struct
from io import BufferedIOBase

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.stored_samples import Samples, check_claims, chunks, data_there, floats, integers

_INTEGERS, _FLOATS = (b"NONE", b"twos", b"raw ", b"in24", b"in32"), (b"fl32", b"fl64")
_LITTLE = (b"sowt", b"42n1", b"23ni")  # integers with the lowest byte first
_LAWS = {b"ulaw": "ULAW", b"alaw": "ALAW"}
_BIAS, _BITS = 16383, 63  # of the exponent and of the mantissa behind its first, in the 80-bit float of the rate


def read_aiff(file: BufferedIOBase, size: int) -> Samples | str:
    """Where the samples are, or the name of the coding of those that are compressed; raises BadFile."""
    common, found = b"", None
    for name, offset, claimed in chunks(file, size, ">"):
        file.seek(offset)
        if name == b"COMM":
            common = file.read(min(claimed, 64))
        elif name == b"SSND":
            gap = int.from_bytes(file.read(4), "big")
            found = offset + 8 + gap, claimed - 8 - gap
        if common and found:
            break
    if not found:
        raise BadFile("no-samples", "has a header and no samples")
    if len(common) < 18:
        raise BadFile("header", "does not say how its samples are stored")
    channels, _, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", common)
    rate = _whole_number(exponent & 0x7FFF, mantissa)
    check_claims(channels, rate)
    there = data_there(max(0, found[1]), found[0], size, ">", file)
    form, width = common[18:22] or b"NONE", -(-bits // 8)
    if form in _LAWS or form.lower() in _LAWS:
        width, subtype = 1, _LAWS[form.lower()]
    elif form.lower() in _FLOATS:
        subtype = floats(width)
    elif form in _INTEGERS + _LITTLE:
        subtype = integers(8 if width == 1 else bits, width, signed_bytes=form != b"raw ")
    else:
        return form.decode("latin-1").strip()
    length = there // (width * channels)
    order = "LITTLE" if form in _LITTLE else "BIG"
    return Samples(subtype, width, channels, rate, order, found[0], length, there != found[1])


def _whole_number(exponent: int, mantissa: int) -> int:
    """A number of 80 bits, rounded; a very large one only as far as it is seen to be."""
    shift = exponent - _BIAS - _BITS
    return mantissa << min(shift, 64) if shift >= 0 else ((mantissa >> (-shift - 1)) + 1) >> 1
