"""The battery's records of readers of sounds: one short sound in every form of each format.

Right, of bytes of which one was changed, is any sound of a possible scale and length where the format has no checksums, as
most have none; of FLAC, which has them for every frame, the sound alone. What was cut is refused or, where the format does
not say how long it is, the beginning of the sound; what was doubled is the sound, or it and what follows.
"""

import struct

import numpy as np

from perceiver_jax.readers.mixing import MAX_PEAK
from perceiver_jax.readers.recordings import FileRecording
from tests.readers.battery import LARGE, Reader
from tests.readers.recording_files import chunk, film, saved, tone, wave, wave_form

RATE, SECONDS = 8000, 0.2
SOUND = tone(SECONDS, RATE, 300.0) + tone(SECONDS, RATE, 1100.0, 0.2)
MUSIC = tone(0.1, 48_000)
MOST = 4 * len(SOUND)  # samples that a changed header may make of them


def read(data):
    """The sound of a file at its own rate, at most ten seconds of it."""
    recording = FileRecording(data)
    return recording.sound(0.0, 10.0, recording.sound_rate)


def near(within):
    """Whether two sounds are the same, but for what a form loses."""
    return lambda sound, other: sound.shape == other.shape and bool(np.abs(sound - other).max(initial=0) <= within)


def possible(most):
    """Whether something is a sound at all."""
    return lambda sound, data=b"": len(sound) <= most and bool((np.abs(sound) <= MAX_PEAK).all())


def only_the_sound(sound, data):
    """Checksums let no other sound pass."""
    return False


def stored_forms():
    """Samples as they are, in WAV and its kin."""
    forms = {"plain": wave((SOUND * 32767).round().astype("<i2").tobytes())}
    for kind in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF"):
        for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
            forms[f"{kind} {subtype}"] = saved(SOUND, RATE, format=kind, subtype=subtype)
    big = saved(SOUND, RATE, format="WAV", subtype="PCM_16", endian="BIG")
    plain = forms["plain"]
    stereo = saved(np.stack([SOUND, SOUND], 1), RATE, format="WAV", subtype="PCM_16")
    tag = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a name"))
    return forms | {
        "RIFX": big,
        "part before": wave(plain[44:], before=tag),
        "part behind": wave(plain[44:], behind=tag),
        "streamed": wave(plain[44:], size=2**32 - 1),
        "two channels": stereo,
        "Matroska": film("matroska", None, sound="pcm_s16le", samples=SOUND),
        "ALAC": saved(SOUND, RATE, format="CAF", subtype="ALAC_16"),
    }


def sound_hostile():
    """Headers that claim much, and parts without end."""
    plain = wave(bytes(3200))
    parts = chunk(b"RIFF", b"WAVE" + chunk(b"junk", b"") * (LARGE // 8 - 9))
    slow = wave(bytes(3200), rate=1)
    return {
        "channels": plain[:22] + struct.pack("<H", 65535) + plain[24:],
        "most channels": wave(bytes(255 * 60), channels=255, bits=8),
        "parts": parts,
        "slow": slow,
        "size": chunk(
            b"RF64", b"WAVE" + chunk(b"ds64", struct.pack("<QQQ", *[2**63] * 3)) + chunk(b"fmt ", wave_form(1, 1, 8000, 16))
        ),
        "pages": b"OggS\0\2" + bytes(20) + b"\1\7\1vorbis" + (b"OggS" + bytes(23)) * 1800,
        "ID3": b"ID3\4\0\0\0\0\0\0" * 5000,
    }


READERS = [
    Reader(
        "stored sound",
        stored_forms(),
        read,
        near(7e-5),
        possible(MOST),
        cut=lambda sound: near(7e-5)(sound, read(stored_plain())[: len(sound)]),
        doubled=lambda sound: near(7e-5)(sound[: len(SOUND)], read(stored_plain())),
        hostile=sound_hostile(),
    ),
    Reader(
        "flac",
        {
            "plain": saved(SOUND, RATE, format="FLAC", subtype="PCM_16"),
            "24 bits": saved(SOUND, RATE, format="FLAC", subtype="PCM_24"),
            "Ogg": film("ogg", None, sound="flac", samples=SOUND),
        },
        read,
        near(7e-5),
        only_the_sound,
        doubled=lambda sound: near(7e-5)(sound[: len(SOUND)], SOUND),
        hostile={"hours of silence": saved(np.zeros(10_000_000), RATE, format="FLAC", subtype="PCM_16")[:LARGE]},
    ),
    Reader(
        "mp3",
        {
            "plain": saved(MUSIC, 48_000, format="MP3"),
            "tag before": b"ID3\4\0\0\0\0\0\x10" + bytes(16) + saved(MUSIC, 48_000, format="MP3"),
        },
        read,
        near(1e-4),
        possible(4 * len(MUSIC)),
        cut=possible(2 * len(MUSIC)),
        doubled=possible(3 * len(MUSIC)),
    ),
    *(
        Reader(
            name,
            {"plain": data},
            read,
            near(1e-4),
            possible(4 * len(MUSIC)),
            cut=possible(2 * len(MUSIC)),
            doubled=possible(3 * len(MUSIC)),
        )
        for name, data in {
            "vorbis": saved(MUSIC, 48_000, format="OGG", subtype="VORBIS"),
            "opus": saved(MUSIC, 48_000, format="OGG", subtype="OPUS"),
            "aac": film("mp4", None, sound="aac", samples=MUSIC),
            "adpcm": saved(SOUND, RATE, format="WAV", subtype="IMA_ADPCM"),
        }.items()
    ),
]


def stored_plain():
    """The plain form of stored samples."""
    return READERS[0].forms["plain"]
