"""Moving digits and the notes tied to them: one recording each, always the same, its parts split disjointly."""

import numpy as np
import pytest

from perceiver_jax.data.sources import mnist5k, notes, notes_and_digits
from perceiver_jax.data.sources.notes_and_digits import CANVAS, DIGIT, NotesAndDigits, moving, noisy_sound
from tests.problems import BATCHES
from tests.test_members import MEL_SOUND, SHORT_FILM

FONT = notes.soundfont("notes")


def source(sound_noise=0.0, film_noise=0.0):
    settings = {"sound_noise": sound_noise, "film_noise": film_noise, "audio": MEL_SOUND, "video": SHORT_FILM}
    return NotesAndDigits(notes_and_digits.Config(kind="notes_and_digits", **settings, **BATCHES))


def recordings(split, count, **noise):
    """Recordings of a split and their labels."""
    examples = source(**noise).load(split)
    return [(examples[i].inputs["audio"], *examples.labels(i)) for i in range(count)]


def test_both_streams_are_of_one_recording():
    example = source().load("train")[0]
    assert example.inputs["audio"] is example.inputs["video"]
    assert example.inputs["audio"].seconds == notes_and_digits.SECONDS


def test_the_key_is_that_of_the_digit():
    found = set()
    programs = source().load("train")._programs
    for recording, label in recordings("train", 12):
        sound = recording.sound(0.0, 1.5, notes.RATE)
        played = (notes.play(FONT, notes.Note(program, 60 + label), 1.5) for program in programs)
        assert any(np.corrcoef(sound, one)[0, 1] > 0.999 for one in played)
        found.add(label)
    assert len(found) > 4


def test_instruments_and_digits_are_of_their_split():
    for split in ("train", "test"):
        examples = source().load(split)
        assert {program % 8 in notes.HELD_OUT for program in examples._programs} == {split == "test"}
        digits = mnist5k.Mnist5k(mnist5k.Config(kind="mnist5k", **BATCHES)).load(split)
        assert len(examples) == len(digits)
        assert [examples.labels(i) for i in range(20)] == [digits.labels(i) for i in range(20)]


def test_a_digit_moves_and_stays_whole():
    digit = np.full((28, 28), 255, np.uint8)
    for seed in range(20):
        film = moving(digit, 0.0, np.random.default_rng(seed))
        assert film.shape == (12, CANVAS, CANVAS, 3)
        white = film[..., 0] == round(0.75 * 255)
        assert (white.sum((1, 2)) == DIGIT**2).all()
        tops = [np.flatnonzero(frame.any(1))[0] for frame in white]
        lefts = [np.flatnonzero(frame.any(0))[0] for frame in white]
        steps = np.hypot(np.diff(tops), np.diff(lefts))
        assert steps.max() <= 8 / 8 + 1.5  # pixels a frame, and rounding
        assert len({*zip(tops, lefts, strict=True)}) > 3


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_noise_is_as_strong_as_the_settings_say(level):
    quiet, loud = (recordings("train", 4, sound_noise=n, film_noise=f) for n, f in ((0.0, 0.0), (20 * level, level)))
    for (clean, _), (noisy, _) in zip(quiet, loud, strict=True):
        sounds = [one.sound(0.0, 1.0, notes.RATE) for one in (clean, noisy)]
        assert np.std(sounds[1] - sounds[0]) == pytest.approx(notes_and_digits.LEVEL * 20 * level, rel=0.05)
        films = [one.frames(0.0, 8, 8.0, None).astype(float)[..., 0] for one in (clean, noisy)]
        assert np.std(films[1] - films[0]) / 255 == pytest.approx(level, rel=0.15)  # some of it is cut off


def test_a_note_that_is_silent_stays_so():
    assert not noisy_sound(np.zeros(100, np.float32), 0.0, np.random.default_rng(0)).any()
