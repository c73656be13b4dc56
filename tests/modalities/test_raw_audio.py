"""Raw sound: the waveform in pieces."""

import numpy as np
import pytest

from perceiver_jax.modalities.raw_audio import Gain, NoAugment, RawAudio, RawAudioStream

RATE = 48_000
NONE = NoAugment(kind="none")


def modality(augment=NONE, pieces=480, samples=128):
    stream = RawAudioStream(
        name="audio", modality="raw_audio", grid=(pieces,), channels=samples, masked=True, sample_rate=RATE
    )
    return RawAudio(stream, augment)


def test_the_papers_part_of_a_clip_is_480_pieces_of_128_samples_in_their_order():
    sound = np.arange(61_440, dtype=np.float32)
    made = modality().evaluation(sound, 0)
    assert made.shape == (480, 128)
    np.testing.assert_array_equal(made.reshape(-1), sound)


@pytest.mark.parametrize(("samples", "pieces"), [(128, 1), (129, 2), (1, 1)])
def test_a_sound_that_ends_gives_the_pieces_that_it_has_zeros_filling_the_last(samples, pieces):
    made = modality().evaluation(np.ones(samples, np.float32), 0)
    assert made.shape == (pieces, 128)
    assert made.sum() == samples


def test_a_gain_is_one_factor_within_its_limit():
    sound = np.random.default_rng(0).normal(size=500).astype(np.float32)
    made, plain = modality(Gain(kind="gain", decibels=6.0, mixup_alpha=None)), modality().evaluation(sound, 0)
    factors = [made.training(sound, np.random.default_rng(seed))[0, 0] / plain[0, 0] for seed in range(100)]
    assert 10 ** (-6 / 20) <= min(factors) < 0.6
    assert 1.7 < max(factors) <= 10 ** (6 / 20)
    np.testing.assert_allclose(made.training(sound, np.random.default_rng(3)), plain * factors[3], rtol=1e-5)


def test_mixup_adds_sounds_of_different_lengths():
    made = modality(Gain(kind="gain", decibels=0.0, mixup_alpha=1.0))
    assert made.mixes
    first, second = np.full((3, 128), 1, np.float32), np.full((5, 128), 10, np.float32)
    mixed, portion = made.mixed(first, second, 0, np.random.default_rng(0))
    np.testing.assert_allclose(mixed[:3], portion + 10 * (1 - portion), rtol=1e-6)
    np.testing.assert_allclose(mixed[3:], 10 * (1 - portion), rtol=1e-6)
