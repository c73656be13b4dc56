"""A folder of films with their sound, from the command line: trained on, evaluated by stream, predicted over time, drawn."""

import json

import numpy as np
import pytest
import soundfile

from perceiver_jax.errors import Code
from perceiver_jax.readers.recordings import FileRecording
from perceiver_jax.runs.load import load
from perceiver_jax.runs.timeline import scores, starts, timeline
from tests.launch import SMALL
from tests.recordings import write_film

CLASSES = ("high", "low")
SOUND = "{'kind': 'raw', 'sample_rate': 8000, 'num_pieces': 16, 'samples_per_piece': 80}"
SETTINGS = [
    "--tiny",
    f"--config.data.audio={SOUND}",
    "--config.augment.audio={'kind': 'none'}",
    "--config.model.positions.audio.max_resolution=(16.0,)",
    "--config.data.video.num_frames=4",
    "--config.data.video.size=(16, 16)",
    "--config.model.positions.video.max_resolution=(2.0, 2.0, 2.0)",
    "--config.views.num_evaluation=2",
    "--config.train.duration=2 steps",
    "--config.data.batch_size=4",
]


def write_recordings(folder):
    """Films with sound, one without, and a sound without film."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(5):
            write_film(folder / name / f"{i}.mkv", seconds=0.4, seed=i)
    write_film(folder / "high" / "silent.mp4", seconds=0.4, seed=7, sound=False)
    soundfile.write(folder / "low" / "unseen.wav", np.random.default_rng(0).normal(scale=0.1, size=8000), 8000)


@pytest.fixture(scope="module")
def place(launcher, once):
    """A folder with the recordings, and the run that was trained on them."""

    def make(path):
        write_recordings(path / "films")
        settings = [*SETTINGS, f"--config.data.data_dir={path / 'films'}"]
        launcher.finish(path / "run", *settings, config="configs/video_folder.py")

    return once("recordings", make)


def printed(launcher, module, place, *arguments):
    """The lines of JSON that a command prints of the run."""
    command = launcher.start(module, "--workdir", place / "run", "--json", *arguments)
    assert command.wait() == 0, command.stderr
    return [json.loads(line) for line in command.stdout.splitlines()]


def test_a_run_of_films_is_evaluated_with_all_streams_or_one(place, launcher):
    found = {}
    for streams in ([], ["--streams", "audio"], ["--streams", "video"]):
        (facts,) = printed(launcher, "experiments.evaluate", place, *streams)
        found["".join(streams)] = facts["loss"]
    assert len(set(found.values())) == 3


def test_a_recording_is_one_file_of_all_streams_and_may_lack_one(place, launcher):
    files = [place / "films" / name for name in ("high/0.mkv", "high/silent.mp4", "low/unseen.wav")]
    found = printed(launcher, "scripts.predict", place, *files)
    assert [one["file"] for one in found] == list(map(str, files))
    assert len({json.dumps(one["classes"]) for one in found}) == 3
    assert {one["class"] for one in found[0]["classes"]} == set(CLASSES)


def test_a_prediction_is_the_mean_over_the_views_of_evaluation(place):
    run, file = load(place / "run"), place / "films/low/unseen.wav"
    opened = run.opened(file)
    each = [run.scores_of([run.inputs_at(opened, moment)], file) for moment in (0.0, 1.0)]
    np.testing.assert_allclose(run.scores(file), np.mean(each, axis=0), rtol=1e-5)
    assert abs(each[0] - each[1]).max() > 0


def test_a_recording_is_classified_part_after_part(place, launcher, tmp_path):
    sound = place / "films/low/unseen.wav"  # 1 s, in parts of 0.16
    found = printed(launcher, "scripts.predict", place, "--every", "200ms", "--output", tmp_path, sound)
    assert [one["time"] for one in found] == [0, 0.2, 0.4, 0.6, 0.8, 0.84]  # the last ends where the sound does
    assert len({json.dumps(one["classes"]) for one in found}) > 1
    assert (tmp_path / "unseen_scores.png").read_bytes().startswith(b"\x89PNG")
    command = launcher.start("scripts.predict", "--workdir", place / "run", "--every", "0.5s", "--top", "1", sound)
    assert command.wait() == 0
    header, _, *rows = [line.split() for line in command.stdout.splitlines()]
    assert header == ["file", "time", "class", "probability"]
    assert [row[-5:-3] for row in rows] == [["0", "s"], ["0.5", "s"], ["0.84", "s"]]
    assert command.stderr == f"{place / 'run/plots/unseen_scores.png'}\n"


def test_a_folder_for_pictures_that_cannot_be_one_is_told_first(place, launcher, tmp_path):
    (tmp_path / "file").touch()
    given = ["--every=1s", "--output", tmp_path / "file", place / "films/low/1.mkv"]
    command = launcher.start("scripts.predict", "--workdir", place / "run", *given)
    assert command.wait() == Code.WORKDIR
    assert command.stderr.startswith(f"error[6] --output {tmp_path / 'file'}")


def test_the_parts_are_those_that_the_moments_are_of(place):
    run, file = load(place / "run"), place / "films/high/0.mkv"
    times, each = zip(*scores(run, timeline(run, file, 0.1)), strict=True)
    assert times[:3] == pytest.approx((0, 0.1, 0.2))
    assert times[-1] == pytest.approx(FileRecording(file).seconds - 0.16)
    for moment, found in ((0.0, each[0]), (1.0, each[-1])):
        np.testing.assert_array_equal(found, run.scores_of([run.inputs_at(run.opened(file), moment)], file))


@pytest.mark.parametrize(
    ("length", "part", "every", "expected"),
    [
        (10.0, 1.28, 4.0, [0, 4, 8, 8.72]),
        (10.0, 2.0, 4.0, [0, 4, 8]),
        (1.0, 1.28, 0.1, [0]),
        (1.28, 1.28, 1.0, [0]),
        (2.28, 1.28, 0.5, [0, 0.5, 1]),
        (2.0, 1.28, 1.0, [0, 0.72]),
    ],
)
def test_parts_cover_the_recording_to_its_end(length, part, every, expected):
    assert starts(length, part, every) == pytest.approx(expected)


@pytest.mark.parametrize("every", ["0s", "1h", "-1", "1,5", "", "s", "9ms"])
def test_a_wrong_time_is_refused_with_the_right_forms(place, every, launcher):
    command = launcher.start("scripts.predict", "--workdir", place / "run", f"--every={every}", "a.wav")
    assert command.wait() == Code.CONFIG
    expected = "expected: a time such as 1s, 500ms or 1min, at least 10ms"
    assert command.stderr == f"error[2] --every: {every!r}\n  {expected}\n"


def test_only_recordings_have_times(once, launcher):
    run = once("finished", lambda path: launcher.finish(path, *SMALL, "--config.train.duration=4 steps"))
    command = launcher.start("scripts.predict", "--workdir", run, "--every=1s", "a.png")
    assert command.wait() == Code.CONFIG
    assert command.stderr.startswith("error[2] --every: the run's streams are image\n  expected: sound or film")


def test_a_file_that_cannot_be_read_is_named_and_costs_itself(place, launcher, tmp_path):
    (tmp_path / "page.mp4").write_text("<html>")
    files = [tmp_path / "page.mp4", tmp_path / "none.wav", place / "films/low/1.mkv"]
    command = launcher.start("scripts.predict", "--workdir", place / "run", "--json", *files)
    assert command.wait() == Code.DATA
    assert [json.loads(line)["file"] for line in command.stdout.splitlines()] == [str(files[2])]
    assert f"error[3] recording web-page: {files[0]}" in command.stderr
    assert f"error[3] {files[1]}: does not exist" in command.stderr


def test_maps_are_drawn_over_each_stream_that_a_recording_has(place, launcher, tmp_path):
    files = [place / "films" / name for name in ("low/1.mkv", "high/silent.mp4", "low/unseen.wav")]
    command = launcher.start("scripts.attention_maps", "--workdir", place / "run", "--output", tmp_path, *files)
    assert command.wait() == 0, command.stderr
    written = [tmp_path / f"{name}.png" for name in ("1_audio", "1_video", "silent_video", "unseen_audio")]
    assert command.stdout.splitlines() == list(map(str, written))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
