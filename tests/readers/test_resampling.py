"""Sound at another rate: the amplitude of a swept sine, what folds and what is mirrored, and windows of it."""

import numpy as np
import pytest

from perceiver_jax.readers.resampling import resampled_window

PAIRS = [
    (44_100, 48_000),
    (48_000, 44_100),
    (22_050, 48_000),
    (96_000, 48_000),
    (8000, 48_000),
    (192_000, 16_000),
    (47_999, 48_000),
]


def resampled(samples, stored, rate):
    """All of a sound at another rate."""
    return resampled_window(lambda first, last: samples[first:last], stored, 0, 10**9, rate)


def sine(hertz, rate, seconds=0.5):
    """One of amplitude 1."""
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def decibels(samples):
    """The level of samples away from their ends, 0 for a sine of amplitude 1."""
    inside = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    return 10 * np.log10(2 * np.mean(inside**2) + 1e-30)


@pytest.mark.parametrize(("stored", "rate"), PAIRS)
def test_a_sine_keeps_its_amplitude_and_its_place(stored, rate):
    for part in (0.05, 0.3, 0.6, 0.8, 0.9):
        hertz = part * min(stored, rate) / 2
        found, expected = resampled(sine(hertz, stored), stored, rate), sine(hertz, rate)
        assert len(found) == pytest.approx(len(expected), abs=1)
        assert decibels(found) == pytest.approx(0, abs=0.01)
        assert decibels(found[: len(expected)] - expected[: len(found)]) < -60


@pytest.mark.parametrize(("stored", "rate"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_would_fold_is_stopped(stored, rate):
    for part in np.linspace(1.001, min(stored / rate, 3) * 0.999, 9):
        assert decibels(resampled(sine(part * rate / 2, stored), stored, rate)) < -120


@pytest.mark.parametrize(("stored", "rate"), [pair for pair in PAIRS if pair[0] < pair[1] - 1])
def test_nothing_is_mirrored(stored, rate):
    hertz = 0.45 * stored / 2
    found = resampled(sine(hertz, stored), stored, rate)
    place = np.arange(len(found)) / rate
    waves = np.stack([np.cos(2 * np.pi * hertz * place), np.sin(2 * np.pi * hertz * place)], 1)
    inside = slice(len(found) // 4, -len(found) // 4)
    rest = found[inside] - waves[inside] @ np.linalg.lstsq(waves[inside], found[inside], rcond=None)[0]
    assert 10 * np.log10(2 * np.mean(rest**2)) < -120


@pytest.mark.parametrize(("stored", "rate"), PAIRS)
def test_a_window_is_the_same_part_of_the_whole(stored, rate):
    samples = np.random.default_rng(0).normal(size=3 * stored).astype(np.float32)
    whole = resampled(samples, stored, rate)
    assert len(whole) == 3 * rate
    for first in (0, 1, 777, rate + 5, 3 * rate - 300):
        window = resampled_window(lambda low, high: samples[low:high], stored, first, 600, rate)
        np.testing.assert_allclose(window, whole[first : first + 600], atol=1e-5)


def test_the_same_rate_is_read_as_it_is():
    samples = np.arange(9, dtype=np.float32)
    np.testing.assert_array_equal(resampled_window(lambda low, high: samples[low:high], 7, 2, 3, 7), [2, 3, 4])
