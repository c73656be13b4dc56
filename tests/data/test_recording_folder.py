"""Folders of recordings: sound and film of one part in time, the same whatever reads them, absent where they are absent."""

import sys

import numpy as np
import pytest

from perceiver_jax.data import class_folders, pipeline
from perceiver_jax.data.checking import check_files
from perceiver_jax.data.examples import Split
from perceiver_jax.data.sources.recording_folder import Config
from perceiver_jax.errors import Failure
from perceiver_jax.modalities.raw_audio import NoAugment as Plain
from perceiver_jax.modalities.video.config import NoAugment as Whole
from perceiver_jax.readers import optional
from tests.problems import BATCHES, data_of, take, views_of
from tests.readers.recording_files import RATE, film, numbers, saved

SECONDS, FRAME_RATE = 2.0, 25
RAMP = np.arange(round(SECONDS * RATE)) / (SECONDS * RATE)  # a sample is the part of the whole that lies before it
RECORDING = film("matroska", "ffv1", frames=50, sound="pcm_s16le", samples=RAMP, pixels="yuv444p", size=(64, 64))
SOUND = saved(RAMP, RATE, format="WAV")
AUDIO = {"kind": "raw", "sample_rate": RATE, "num_pieces": 20, "samples_per_piece": RATE // 125}  # 0.16 s, as 4 frames
VIDEO = {"frame_rate": 25.0, "num_frames": 4, "size": (64, 64), "patch": (1, 64, 64), "read_side": 64, "values": (0.0, 1.0)}
AUGMENTS = {"audio": Plain(kind="none"), "video": Whole(kind="none", evaluation_crop=1.0)}


@pytest.fixture(autouse=True)
def _fresh():
    class_folders.list_folder.cache_clear()


def config_of(folder, **changes):
    values = {"kind": "recording_folder", "data_dir": str(folder), "labels": None, "test_percent": 50.0, "max_bad": 0}
    return Config(**values | {"audio": AUDIO, "video": VIDEO} | BATCHES | changes)


def data(folder, num_evaluation=1, **changes):
    config = config_of(folder, **changes)
    augments = {stream.name: AUGMENTS[stream.name] for stream in config.streams()}
    return data_of(config, augments if len(augments) > 1 else next(iter(augments.values())), views=views_of(num_evaluation))


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(4):
                (tmp_path / split / name / f"{i}.mkv").write_bytes(RECORDING)
    return tmp_path


def starts(item):
    """When the sound and the film of an example begin, in seconds."""
    sound, frames = item.features["audio"].reshape(-1), item.features["video"].reshape(-1, 64, 64, 3)
    return sound[0] * SECONDS, numbers(frames)[0] / FRAME_RATE


def test_sound_and_film_of_a_training_example_are_of_the_same_random_time(folder):
    split = Split(data(folder), "train")
    found = [starts(split.training(i, np.random.default_rng(seed))) for i in range(2) for seed in range(8)]
    for sound, frame in found:
        assert 0 <= sound <= SECONDS - 0.16
        assert 0 <= sound - frame < 1 / FRAME_RATE + 1e-3  # the frame on screen
    assert np.ptp([sound for sound, _ in found]) > 1


def test_views_lie_evenly_from_begin_to_end_those_amid_first(folder):
    split = Split(data(folder, num_evaluation=5), "test")
    found = [starts(split.evaluation(0, view))[0] / (SECONDS - 0.16) for view in range(5)]
    assert found[0] == pytest.approx(0.5, abs=1e-3)
    assert sorted(found) == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-3)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_times_are_functions_of_seed_and_step_whatever_reads_ahead(folder, num_workers):
    made = data(folder, video=None, batch_size=8, num_workers=num_workers)
    batches = take(pipeline.train_batches(made, 3, 0), 2)
    times = [batch["inputs"]["audio"][:, 0, 0] for batch in batches]
    expected = []
    for step in range(2):
        split, ids = Split(made, "train"), pipeline.example_ids(made, 3, step)
        items = [split.training(i, np.random.default_rng((3, step, slot))) for slot, i in enumerate(ids.tolist())]
        expected.append([item.features["audio"][0, 0] for item in items])
    np.testing.assert_array_equal(times, expected)
    assert len(np.unique(times)) == 16


def test_a_stream_that_a_recording_lacks_is_masked(folder):
    (folder / "train/a/0.wav").write_bytes(SOUND)
    made = data(folder)
    split = Split(made, "train")
    lacking = next(i for i in range(len(split)) if made.source.load("train").file(i).endswith(".wav"))
    batch = split.batch([split.evaluation(lacking, 0)], 1)
    assert not batch["masks"]["video"].any()
    assert not batch["inputs"]["video"].any()
    assert batch["masks"]["audio"].all()


def test_a_short_recording_gives_the_inputs_that_it_has(folder):
    (folder / "train/a/0.wav").write_bytes(saved(RAMP[: RATE // 20], RATE, format="WAV"))  # 0.05 of 0.16 s
    made = data(folder, video=None)
    split = Split(made, "train")
    short = next(i for i in range(len(split)) if made.source.load("train").file(i).endswith(".wav"))
    batch = split.batch([split.training(short, np.random.default_rng(0))], 1)
    assert batch["masks"]["audio"][0].tolist() == 7 * [True] + 13 * [False]


def test_a_model_of_frames_reads_films_alone(folder, capsys):
    (folder / "train/a/0.wav").write_bytes(SOUND)
    assert data(folder, audio=None).sizes["train"] == 8
    assert "1 .wav" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"<html>", lambda data: b""])
def test_a_file_that_cannot_be_read_is_found_before_training(folder, damage):
    (folder / "train/a/1.mkv").write_bytes(damage(RECORDING))
    made = data(folder)
    with pytest.raises(Failure, match=r"train/a/1.mkv"):
        check_files(made.source, made.modalities, made.task, lambda done: None, print)


def test_a_missing_package_is_no_fault_of_the_files(folder, monkeypatch):
    made = data(folder, max_bad=10)
    monkeypatch.setitem(sys.modules, "av", None)
    optional.package.cache_clear()
    with pytest.raises(Failure, match="need the package av"):
        check_files(made.source, made.modalities, made.task, lambda done: None, print)
    optional.package.cache_clear()


def test_a_recording_without_any_of_the_streams_is_found_before_training(folder):
    (folder / "train/a/1.mkv").write_bytes(film("matroska", "ffv1", frames=50, size=(64, 64), pixels="yuv444p"))
    made = data(folder, video=None)
    with pytest.raises(Failure, match="no-stream"):
        check_files(made.source, made.modalities, made.task, lambda done: None, print)
