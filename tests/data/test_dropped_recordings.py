"""A stream of a recording that is dropped is not decoded; a batch is the same as if it had been, but for short films."""

import numpy as np
import pytest

from perceiver_jax.data import pipeline
from perceiver_jax.data.held_recording import HeldRecording
from perceiver_jax.data.sources import notes_and_digits
from perceiver_jax.modalities.mel_audio import MelAudio
from perceiver_jax.modalities.mel_audio.config import NoAugment as PlainSound
from perceiver_jax.modalities.video import Video
from perceiver_jax.modalities.video.config import NoAugment as PlainFilm
from perceiver_jax.readers.recordings import FileRecording
from tests.problems import BATCHES, data_of, take, views_of
from tests.recordings import write_film
from tests.test_members import MEL_SOUND, SHORT_FILM

STREAMS = ("audio", "video")
PLAIN = {"audio": PlainSound(kind="none"), "video": PlainFilm(kind="none", evaluation_crop=1.0)}
READS = {"audio": "sound", "video": "frames"}  # the method of a recording that gives a stream


def data(dropped="zeroed", **dropout):
    """Digits with notes."""
    settings = {"sound_noise": 0.1, "film_noise": 0.1, "audio": MEL_SOUND, "video": SHORT_FILM, **BATCHES, "batch_size": 16}
    config = notes_and_digits.Config(kind="notes_and_digits", **settings)
    return data_of(config, PLAIN, views=views_of(dropped=dropped, **dropout))


@pytest.fixture
def lack(monkeypatch):
    """Makes recordings that lack a stream."""
    return lambda stream: monkeypatch.setattr(HeldRecording, READS[stream], lambda *_: None)


@pytest.fixture
def read(monkeypatch):
    """The streams that are read, one after the other."""
    found = []
    for name, modality in zip(STREAMS, (MelAudio, Video), strict=True):
        original = modality.read

        def reading(self, given, label, moment, original=original, name=name):
            found.append(name)
            return original(self, given, label, moment)

        monkeypatch.setattr(modality, "read", reading)
    return found


def batch_of(data, dropped=None):
    batches = pipeline.train_batches(data, 3, 0) if dropped is None else pipeline.eval_batches(data, "test", dropped)
    return take(batches, 1)[0]


@pytest.mark.parametrize("how", ["zeroed", "masked"])
@pytest.mark.parametrize("dropped", STREAMS)
def test_a_dropped_stream_is_not_read(read, dropped, how):
    batch = batch_of(data(dropped=how, **{dropped: 0.999999}))
    assert set(read) == set(STREAMS) - {dropped}
    assert not batch["inputs"][dropped].any()
    assert (batch["masks"][dropped] == (how == "zeroed")).all()


def test_what_is_kept_and_masked_is_as_if_all_had_been_read():
    some, whole = (batch_of(data(**dropout)) for dropout in ({"audio": 0.4, "video": 0.4}, {}))
    for stream in STREAMS:
        kept = some["inputs"][stream].reshape(16, -1).any(axis=1)
        assert 0 < kept.sum() < 16
        np.testing.assert_array_equal(some["inputs"][stream][kept], whole["inputs"][stream][kept])
        np.testing.assert_array_equal(some["masks"][stream], whole["masks"][stream])


def test_the_only_stream_of_a_recording_is_not_dropped(lack):
    lack("audio")
    batch = batch_of(data(video=0.999999))
    assert batch["inputs"]["video"].reshape(16, -1).any(axis=1).all()
    assert not batch["masks"]["audio"].any()


def test_an_absent_stream_that_is_dropped_stays_masked(lack):
    lack("video")
    batch = batch_of(data(video=0.999999))
    assert not batch["masks"]["video"].any()
    assert batch["masks"]["audio"].all()


def test_an_evaluation_reads_only_the_streams_that_it_is_of(read):
    batch = batch_of(data(), ["video"])
    assert set(read) == {"audio"}
    assert batch["masks"]["video"][: len(batch["labels"])].any()
    assert not batch["inputs"]["video"].any()


def test_a_clip_without_the_stream_of_an_evaluation_still_counts(lack):
    lack("audio")
    batch = batch_of(data(), ["video"])
    assert batch["weights"].sum() > 0
    assert not batch["masks"]["audio"].any()
    assert not batch["inputs"]["video"].any()


@pytest.mark.parametrize("sound", [True, False])
def test_whether_a_file_has_a_stream_is_known_without_decoding(tmp_path, monkeypatch, sound):
    path = tmp_path / "a.mp4"
    write_film(path, 0.2, 0, sound=sound)
    found = data()
    recording = FileRecording(path)
    monkeypatch.setattr("perceiver_jax.readers.films.Film.frames", None)
    assert found.modalities["video"].holds(recording)
    assert found.modalities["audio"].holds(recording) == sound
