"""Spectrograms: SciPy's transform and librosa's bands are the oracles."""

import numpy as np
import pytest
import scipy.signal
from librosa import filters, mel_frequencies

from perceiver_jax.modalities.mel_audio import MelAudio, MelAudioStream, evened, masked
from perceiver_jax.modalities.mel_audio.config import NoAugment, SpecAugment
from perceiver_jax.modalities.mel_audio.spectrogram import log_mel, mel_matrix

RATE, WINDOW, HOP, BANDS, EDGES, OFFSET = 48_000, 2048, 1024, 80, (80.0, 7600.0), 1e-6
SETTINGS = RATE, WINDOW, HOP, EDGES, BANDS, OFFSET
SECONDS = 1.28


def tone(hertz, seconds=SECONDS, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def scipys(sound, rate=RATE, window=WINDOW, hop=HOP, edges=EDGES, bands=BANDS, offset=OFFSET, matrix=None):
    """The same from SciPy's transform, which divides by the sum of its window."""
    frames = -(-len(sound) // hop)
    padded = np.zeros((frames - 1) * hop + window, np.float32)
    padded[: len(sound)] = sound
    how = {"window": "hann", "nperseg": window, "noverlap": window - hop, "boundary": None, "padded": False}
    spectrum = np.abs(scipy.signal.stft(padded, **how)[2]) * scipy.signal.get_window("hann", window).sum()
    matrix = mel_matrix(rate, window, edges, bands) if matrix is None else matrix
    return np.log(spectrum.T @ matrix + offset)


def librosas(htk):
    """librosa's matrix. It would compile for 12 s to give bands 1 high, so that it is asked for those with an area of 1."""
    scale = {"fmin": EDGES[0], "fmax": EDGES[1], "htk": htk}
    corners = mel_frequencies(BANDS + 2, **scale)
    return filters.mel(sr=RATE, n_fft=WINDOW, n_mels=BANDS, norm="slaney", **scale).T * (corners[2:] - corners[:-2]) / 2


@pytest.mark.parametrize("seconds", [SECONDS, 0.5, 1.2801, 0.001])
def test_a_spectrogram_equals_that_of_scipys_transform(seconds):
    sound = np.random.default_rng(0).normal(scale=0.1, size=round(seconds * RATE)).astype(np.float32)
    np.testing.assert_allclose(log_mel(sound, *SETTINGS), scipys(sound), atol=1e-4)


@pytest.mark.parametrize("sizes", [(16_000, 400, 160, (60.0, 7800.0), 64), (8000, 512, 512, (20.0, 4000.0), 20)])
def test_other_settings_equal_scipys_too(sizes):
    sound = np.random.default_rng(0).normal(scale=0.1, size=sizes[0]).astype(np.float32)
    np.testing.assert_allclose(log_mel(sound, *sizes, OFFSET), scipys(sound, *sizes), atol=1e-4)


def test_librosas_own_bands_which_are_straight_in_hertz_differ_by_a_hundredth_at_most():
    """Those of tf.signal, which DMVR uses, are straight on the mel scale; their edges and centres are the same."""
    sound = np.random.default_rng(0).normal(scale=0.1, size=61_440).astype(np.float32)
    matrix = librosas(htk=True)
    difference = np.abs(scipys(sound, matrix=matrix) - log_mel(sound, *SETTINGS))
    assert 1e-3 < difference.max() < 0.011
    assert ((matrix > 0) == (mel_matrix(RATE, WINDOW, EDGES, BANDS) > 0)).all()


def test_the_papers_part_of_a_clip_has_4800_values_time_first():
    assert log_mel(tone(440), *SETTINGS).shape == (60, 80)


@pytest.mark.parametrize(
    ("hertz", "largest", "value", "slaneys"), [(440, 12, 5.6982, 9), (1000, 26, 5.7660, 25), (4000, 61, 5.6339, 63)]
)
def test_a_tone_is_in_the_band_of_htks_scale_with_its_magnitude(hertz, largest, value, slaneys):
    frame = log_mel(tone(hertz), *SETTINGS)[30]
    assert frame.argmax() == largest
    assert frame.max() == pytest.approx(value, abs=5e-3)
    slaney = np.abs(np.fft.rfft(tone(hertz)[:WINDOW] * np.hanning(WINDOW))) @ librosas(htk=False)
    assert slaney.argmax() == slaneys  # they do differ


def test_frame_k_begins_at_its_hop():
    pulse = np.zeros(61_440, np.float32)
    pulse[29_968:30_033] = np.hanning(65)
    loud = np.flatnonzero(log_mel(pulse, *SETTINGS).max(axis=1) > np.log(OFFSET) + 1)
    assert loud.tolist() == [28, 29]


def test_silence_is_the_logarithm_of_the_offset():
    np.testing.assert_allclose(log_mel(np.zeros(5000, np.float32), *SETTINGS), np.log(OFFSET), atol=1e-5)


def test_bands_narrower_than_a_bin_hear_nothing():
    np.testing.assert_allclose(log_mel(np.ones(100, np.float32), RATE, 32, 16, (10.0, 20.0), 3, OFFSET), np.log(OFFSET))


@pytest.mark.parametrize(("samples", "frames"), [(61_440, 60), (61_441, 61), (1, 1), (0, 0)])
def test_there_is_a_frame_for_each_hop_begun(samples, frames):
    assert log_mel(np.ones(samples, np.float32), *SETTINGS).shape == (frames, 80)


def test_the_window_is_periodic():
    on_a_bin = tone(1500, 12 * HOP / RATE)  # bin 64 exactly
    assert log_mel(on_a_bin, *SETTINGS)[5, 70] == pytest.approx(np.log(OFFSET), abs=0.05)


def test_the_bands_are_triangles_of_height_1_without_the_bin_of_0_hz():
    matrix = mel_matrix(RATE, WINDOW, (0.1, 7600.0), BANDS)
    assert matrix[0].max() == 0
    assert mel_matrix(RATE, 2**16, EDGES, BANDS).max() == pytest.approx(1, abs=0.01)


def stream(**changes):
    settings = {"grid": (60, 80), "window": WINDOW, "hop": HOP, "num_bands": BANDS, "band_edges": EDGES, "offset": OFFSET}
    settings |= {"channels": 1, "masked": True, "sample_rate": RATE, "mean": 0.0, "std": 1.0}
    return MelAudioStream(name="audio", modality="mel_audio", **settings | changes)


SPEC = {"kind": "spec_augment", "frequency_masks": 1, "frequency_mask": 30, "time_masks": 4, "time_mask": 4}
SPEC |= {"mixup_alpha": None}


def test_masks_are_of_whole_frames_and_whole_bands_and_hold_the_mean():
    rising = np.log(np.arange(1, 4801, dtype=np.float32)).reshape(60, 80)
    for seed in range(20):
        found = masked(rising, SpecAugment(**SPEC), np.random.default_rng(seed))
        changed = found != rising
        assert (found[changed] == rising.mean()).all()
        rows, columns = changed.all(axis=1), changed.all(axis=0)
        assert (changed == rows[:, None] | columns).all()
        assert rows.sum() <= 16
        assert columns.sum() <= 30
        assert np.count_nonzero(np.diff(columns)) <= 2


@pytest.mark.parametrize("frames", [1, 3])
def test_masks_fit_a_short_sound(frames):
    found = masked(np.ones((frames, 80), np.float32), SpecAugment(**SPEC), np.random.default_rng(0))
    assert found.shape == (frames, 80)


def test_values_are_normalised_by_the_streams_mean_and_deviation():
    made = MelAudio(stream(mean=-4.0, std=2.0), NoAugment(kind="none"))
    np.testing.assert_array_equal(made.normalize(np.array([[-4.0], [0.0]], np.float32)), [[0], [2]])


def test_a_mixed_spectrogram_of_a_sound_and_silence_fades_towards_silence():
    made = MelAudio(stream(), SpecAugment(**SPEC | {"mixup_alpha": 1.0}))
    loud, silent = np.full((160, 1), 2.0, np.float32), np.full((80, 1), np.log(OFFSET), np.float32)
    mixed, portion = made.mixed(loud, silent, 0, np.random.default_rng(0))
    assert mixed.shape == (160, 1)
    np.testing.assert_allclose(mixed, portion * 2.0 + (1 - portion) * np.log(OFFSET), rtol=1e-5)


@pytest.mark.parametrize(
    ("bands", "frames", "height", "width"), [(128, 7, 128, 126), (80, 60, 80, 60), (4, 30, 28, 30), (5, 5, 5, 5)]
)
def test_pictures_of_long_shapes_are_evened_by_repeats(bands, frames, height, width):
    picture = np.random.default_rng(0).random((2, bands, frames))
    found = evened(picture)
    assert found.shape == (2, height, width)
    np.testing.assert_array_equal(found[:, :: height // bands, :: width // frames], picture)
