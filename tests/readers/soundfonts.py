"""Small soundfonts, written in code."""

import struct

import numpy as np

INSTRUMENT, KEYS, VELOCITIES, COARSE, FINE, SAMPLE, MODE, SCALE, ROOT = 41, 43, 44, 51, 52, 53, 54, 56, 58


def chunk(name, contents):
    """A part of a RIFF file."""
    return name + struct.pack("<I", len(contents)) + contents + b"\0" * (len(contents) % 2)


def keys(low, high):
    """A range of keys or velocities, as a generator has it."""
    return low | high << 8


def header(start, end, loop, rate, key, cents=0, kind=1):
    """The header of a recording."""
    return struct.pack("<20s5IBbHH", b"a", start, end, *loop, rate, key, cents, 0, kind)


def soundfont(samples, headers, instruments, presets, info=b"", changed=None):
    """A file of samples in -1 to 1; `instruments` and `presets` are lists of zones, each (kind, amount) in a row.

    Presets are by (bank, program). `changed` replaces the contents of parts by name.
    """
    parts = {b"phdr": b"", b"pbag": b"", b"pmod": bytes(10), b"pgen": b""}
    parts |= {b"inst": b"", b"ibag": b"", b"imod": bytes(10), b"igen": b""}

    def put(zones, bags, generators):
        first = len(parts[bags]) // 4
        for zone in zones:
            parts[bags] += struct.pack("<HH", len(parts[generators]) // 4, 0)
            for kind, amount in zone:
                parts[generators] += struct.pack("<Hh" if amount < 0 else "<HH", kind, amount)
        return first

    for (bank, program), zones in presets.items():
        first = put(zones, b"pbag", b"pgen")
        parts[b"phdr"] += struct.pack("<20s3H12x", b"p", program, bank, first)
    parts[b"phdr"] += struct.pack("<20s3H12x", b"EOP", 0, 0, put([[]], b"pbag", b"pgen"))
    for zones in instruments:
        parts[b"inst"] += struct.pack("<20sH", b"i", put(zones, b"ibag", b"igen"))
    parts[b"inst"] += struct.pack("<20sH", b"EOI", put([[]], b"ibag", b"igen"))
    parts[b"pgen"] += bytes(4)
    parts[b"igen"] += bytes(4)
    parts[b"shdr"] = b"".join(headers) + header(0, 0, (0, 0), 0, 0)
    parts[b"smpl"] = np.rint(np.asarray(samples) * (2**15 - 1)).astype("<i2").tobytes()
    parts |= changed or {}
    smpl = parts.pop(b"smpl")
    data = b"".join(chunk(name, contents) for name, contents in parts.items() if contents is not None)
    sound = b"" if smpl is None else chunk(b"smpl", smpl)
    lists = chunk(b"LIST", b"INFO" + info) + chunk(b"LIST", b"sdta" + sound) + chunk(b"LIST", b"pdta" + data)
    return chunk(b"RIFF", b"sfbk" + lists)


def sine(hertz, rate, count):
    """A tone of half the full scale."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)
