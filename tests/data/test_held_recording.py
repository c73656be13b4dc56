"""A recording that a source makes: its sound and frames are what a file of the same would give."""

import numpy as np
import pytest

from perceiver_jax.data.held_recording import HeldRecording

SOUND = np.sin(np.arange(1000) / 20).astype(np.float32)
FRAMES = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None, None] * 20, (8, 12, 10, 3)).copy()
HELD = HeldRecording(SOUND, 1000, FRAMES, 4.0)  # 1 second of sound, 2 of film


@pytest.mark.parametrize(
    ("recording", "seconds"),
    [(HELD, 2.0), (HeldRecording(SOUND, 1000, None, 4.0), 1.0), (HeldRecording(None, 1, None, 1.0), 0)],
)
def test_it_is_as_long_as_its_longest_stream(recording, seconds):
    assert recording.seconds == seconds


def test_a_part_of_the_sound_is_what_is_held_and_ends_where_the_sound_does():
    assert np.array_equal(HELD.sound(0.1, 0.5, 1000), SOUND[100:600])
    assert np.array_equal(HELD.sound(0.9, 0.5, 1000), SOUND[900:])
    assert len(HELD.sound(1.5, 0.5, 1000)) == 0


def test_sound_at_another_rate_keeps_its_time():
    half = HELD.sound(0.0, 1.0, 500)
    assert len(half) == 500
    assert half[50:450] == pytest.approx(SOUND[100:900:2], abs=1e-3)


def test_frames_are_those_on_screen_at_each_time_and_end_where_the_film_does():
    assert HELD.frames(0.0, 4, 2.0, None)[:, 0, 0, 0].tolist() == [0, 40, 80, 120]
    assert HELD.frames(1.0, 100, 4.0, None)[:, 0, 0, 0].tolist() == [80, 100, 120, 140]
    assert HELD.frames(0.0, 2, 8.0, None)[:, 0, 0, 0].tolist() == [0, 0]  # twice as often as there are frames
    assert len(HELD.frames(5.0, 2, 4.0, 6)) == 0


@pytest.mark.parametrize(("side", "size"), [(None, (12, 10)), (5, (6, 5)), (20, (12, 10))])
def test_frames_are_reduced_but_never_enlarged(side, size):
    assert HELD.frames(0.0, 1, 4.0, side).shape[1:3] == size


def test_a_stream_that_is_not_there_is_none():
    assert HeldRecording(None, 1000, FRAMES, 4.0).sound(0.0, 1.0, 1000) is None
    assert HeldRecording(SOUND, 1000, None, 4.0).frames(0.0, 1, 4.0, None) is None
