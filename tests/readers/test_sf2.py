"""Soundfonts: a key is the recording that the file names for it, at the pitch that it says; damage is refused in words."""

import struct

import numpy as np
import pytest

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.sf2 import read_soundfont
from tests.readers.soundfonts import (
    COARSE,
    FINE,
    INSTRUMENT,
    KEYS,
    MODE,
    ROOT,
    SAMPLE,
    SCALE,
    VELOCITIES,
    chunk,
    header,
    keys,
    sine,
    soundfont,
)

RATE, COUNT = 8000, 2000
TONE = sine(400, RATE, COUNT)  # of key 60, as the header says
HEADER = header(0, COUNT, (0, COUNT), RATE, 60)


def font(*zone, outer=(), samples=TONE, headers=(HEADER,), **changed):
    """The bytes of a soundfont of one instrument."""
    return soundfont(samples, headers, [[[*zone, (SAMPLE, 0)]]], {(0, 5): [[*outer, (INSTRUMENT, 0)]]}, **changed)


def play(data, key=60, seconds=0.25, velocity=100, program=5, rate=RATE, bank=0):
    return read_soundfont(data).note(bank, program, key, velocity, seconds, rate)


def pitch(sound, rate=RATE):
    """The frequency of the loudest partial, to a fraction of a bin."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**17))
    return np.argmax(power) * rate / 2**17


def test_the_root_key_is_the_recording_itself():
    np.testing.assert_allclose(play(font()), TONE, atol=2 / 2**15)


@pytest.mark.parametrize("key", [48, 59, 61, 67])
def test_other_keys_are_as_many_semitones_away(key):
    sound = play(font((MODE, 1)), key)
    assert len(sound) == COUNT
    assert pitch(sound) == pytest.approx(400 * 2 ** ((key - 60) / 12), rel=2e-3)


def test_another_rate_keeps_the_pitch():
    assert pitch(play(font((MODE, 1)), rate=11_025), 11_025) == pytest.approx(400, rel=2e-3)


@pytest.mark.parametrize(
    ("zone", "outer", "semitones"),
    [
        ([(ROOT, 48)], [], 12),
        ([(COARSE, -3)], [], -3),
        ([(FINE, 50)], [(COARSE, 1)], 1.5),
        ([(COARSE, 2)], [(FINE, -100)], 1),
        ([(SCALE, 0), (ROOT, 40)], [], 0),
        ([(SCALE, 50), (ROOT, 56)], [], 2),
    ],
)
def test_tuning_of_both_levels_adds_up(zone, outer, semitones):
    sound = play(font((MODE, 1), *zone, outer=outer))
    assert pitch(sound) == pytest.approx(400 * 2 ** (semitones / 12), rel=2e-3)


def test_the_cents_of_a_recording_correct_its_pitch():
    assert pitch(play(font((MODE, 1), headers=[header(0, COUNT, (0, COUNT), RATE, 60, cents=50)]))) == pytest.approx(
        400 * 2 ** (0.5 / 12), rel=2e-3
    )


def test_a_recording_without_a_key_is_of_key_60():
    np.testing.assert_allclose(play(font(headers=[header(0, COUNT, (0, COUNT), RATE, 255)])), TONE, atol=2 / 2**15)


@pytest.mark.parametrize("mode", [1, 3])
def test_a_loop_goes_on_for_as_long_as_is_asked(mode):
    sound = play(font((MODE, mode), headers=[header(0, COUNT, (200, 1000), RATE, 60)]), seconds=0.5)
    expected = [TONE[i] if i < 1000 else TONE[200 + (i - 200) % 800] for i in range(4000)]
    np.testing.assert_allclose(sound, expected, atol=2 / 2**15)


@pytest.mark.parametrize(("mode", "loop"), [(0, (200, 1000)), (2, (200, 1000)), (1, (900, 900)), (1, (900, 5000))])
def test_without_a_loop_a_note_ends_with_its_recording(mode, loop):
    assert len(play(font((MODE, mode), headers=[header(0, COUNT, loop, RATE, 60)]), seconds=0.5)) == COUNT


def test_offsets_move_the_ends():
    sound = play(font((0, 100), (1, -500)))
    np.testing.assert_allclose(sound, TONE[100:1500], atol=2 / 2**15)


def test_coarse_offsets_are_of_32768_samples():
    samples = np.concatenate([np.zeros(32_768), TONE])
    sound = play(font((4, 1), samples=samples, headers=[header(0, len(samples), (0, 1), RATE, 60)]))
    np.testing.assert_allclose(sound, TONE, atol=2 / 2**15)


def two(first, second):
    """A soundfont of two recordings, the second a fifth higher, each with a zone."""
    samples = np.concatenate([TONE, sine(600, RATE, COUNT)])
    headers = [HEADER, header(COUNT, 2 * COUNT, (0, COUNT), RATE, 60)]
    zones = [[*first, (SAMPLE, 0)], [*second, (SAMPLE, 1)]]
    return soundfont(samples, headers, [zones], {(0, 5): [[(INSTRUMENT, 0)]]})


def test_ranges_of_keys_and_velocities_choose_the_recording():
    data = two([(KEYS, keys(0, 60))], [(KEYS, keys(61, 90)), (VELOCITIES, keys(64, 127))])
    assert pitch(play(data, 60)) == pytest.approx(400, rel=2e-3)
    assert pitch(play(data, 61)) == pytest.approx(600 * 2 ** (1 / 12), rel=2e-3)
    assert play(data, 61, velocity=63) is None
    assert play(data, 91) is None


def test_recordings_that_sound_at_once_are_averaged():
    np.testing.assert_allclose(play(two([], [])), (TONE + sine(600, RATE, COUNT)) / 2, atol=2 / 2**15)


def test_the_first_zone_without_a_recording_is_for_all_of_them():
    zones = [[(ROOT, 48), (MODE, 1)], [(SAMPLE, 0)], [(KEYS, keys(0, 10))]]  # the last one is of nothing
    data = soundfont(TONE, [HEADER], [zones], {(0, 5): [[(COARSE, -12)], [(INSTRUMENT, 0)]]})
    assert pitch(play(data)) == pytest.approx(400, rel=2e-3)


@pytest.mark.parametrize("where", [{"program": 6}, {"bank": 1}])
def test_what_is_not_there_is_not_heard(where):
    assert play(font(), **where) is None


def test_recordings_in_a_synthesizers_own_memory_are_not_heard():
    assert play(font(headers=[header(9, 10**6, (0, 1), RATE, 60, kind=0x8001)])) is None


def test_what_else_a_file_has_changes_nothing():
    data = font(info=chunk(b"INAM", b"odd"))
    np.testing.assert_array_equal(play(data), play(font()))


def row(*values):
    return struct.pack(f"<{len(values)}H", *values)


BAD = {
    "empty": b"",
    "another file": b"RIFF" + struct.pack("<I", 4) + b"WAVE",
    "no samples": font(changed={b"smpl": None}),
    "no headers": font(changed={b"shdr": None}),
    "no zones": font(changed={b"ibag": b""}),
    "half a row": font(changed={b"shdr": HEADER[:-1] + bytes(46)}),
    "recording beyond the samples": font(headers=[header(0, COUNT + 1, (0, 1), RATE, 60)]),
    "recording that ends before it starts": font(headers=[header(10, 9, (0, 1), RATE, 60)]),
    "rate of 0 Hz": font(headers=[header(0, COUNT, (0, 1), 0, 60)]),
    "rate of 4 GHz": font(headers=[header(0, COUNT, (0, 1), 2**32 - 1, 60)]),
    "zone of no recording": soundfont(TONE, [HEADER], [[[(SAMPLE, 1)]]], {(0, 5): [[(INSTRUMENT, 0)]]}),
    "zone of no instrument": soundfont(TONE, [HEADER], [[[(SAMPLE, 0)]]], {(0, 5): [[(INSTRUMENT, 3)]]}),
    "zones not in a row": font(changed={b"ibag": row(2, 0, 0, 0)}),
    "more zones than there are": font(changed={b"pbag": row(0, 0)}),
    "more generators than there are": font(changed={b"pbag": row(0, 0, 9, 0)}),
    "offset beyond the samples": font((0, 3000)),
    "tuning beyond hearing": font((COARSE, 30_000)),
}


@pytest.mark.parametrize("name", BAD)
def test_damage_is_refused_in_words(name):
    with pytest.raises(BadFile) as refusal:
        play(BAD[name])
    assert refusal.value.sentence.isprintable()


def test_a_file_that_is_cut_is_refused_wherever_it_is():
    whole = font(samples=TONE[:50], headers=[header(0, 50, (0, 50), RATE, 60)])
    for length in range(len(whole)):
        with pytest.raises(BadFile):
            play(whole[:length])


def heard_or_refused(data):
    """A note, or the words with which it is refused."""
    try:
        return play(data, seconds=0.01)
    except BadFile as refusal:
        return refusal.sentence


def test_a_changed_byte_is_refused_or_heard_but_never_a_crash():
    whole = font((MODE, 1), samples=TONE[:50], headers=[header(0, 50, (0, 50), RATE, 60)])
    for place in range(len(whole)):
        for value in (0, 255, whole[place] ^ 1, whole[place] ^ 128):
            data = whole[:place] + bytes([value]) + whole[place + 1 :]
            sound = heard_or_refused(data)
            assert isinstance(sound, str) or sound is None or np.isfinite(sound).all()
