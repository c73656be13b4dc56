"""Reading AudioSet as it was prepared: which clips, their streams and labels, and what is said where they cannot be read."""

import io
import json
import pickle
import shutil

import av
import numpy as np
import pytest
import soundfile

from perceiver_jax.data import example_index
from perceiver_jax.data.preparation import audioset as preparation
from perceiver_jax.data.preparation import audioset_classes, audioset_clips, audioset_coverage, audioset_segments
from perceiver_jax.data.preparation.dataset import Plan, prepare
from perceiver_jax.data.preparation.items import make_units
from perceiver_jax.data.sources import audioset
from perceiver_jax.data.stored_recordings import StoredRecording
from perceiver_jax.errors import Code, Failure
from tests.data.preparation.clips import number_of, write_audioset
from tests.problems import BATCHES

RAW_SOUND = {"kind": "raw", "sample_rate": 48_000, "num_pieces": 75, "samples_per_piece": 128}  # 0.2 s
FILM = {"frame_rate": 25.0, "num_frames": 5, "size": (16, 16), "patch": (1, 8, 8), "read_side": 20, "values": (0.0, 1.0)}
CLASSES = ("Speech", "Male speech, man speaking", "Music", "Animal")


def config_of(data_dir, subset="balanced", audio=RAW_SOUND, video=FILM):
    return audioset.Config(kind="audioset", data_dir=str(data_dir), subset=subset, audio=audio, video=video, **BATCHES)


def source_of(data_dir, **settings):
    return audioset.AudioSet(config_of(data_dir, **settings))


def prepare_small(folder, data_dir, splits=("balanced_train", "eval")):
    """Prepares what `write_audioset` writes, with frames of 32 pixels."""
    classes = audioset_classes.read(folder / "class_labels_indices.csv", True)
    paths = [(split, folder / f"{'eval' if split == 'eval' else 'balanced_train'}_segments.csv") for split in splits]
    lists = audioset_segments.read(paths, classes, False, False)
    found = audioset_clips.find(folder / "clips", lists.segments, None)
    listing, coverage = audioset_coverage.list_clips(lists, found, classes, None)
    plan = Plan(
        name=preparation.NAME,
        version=preparation.VERSION,
        units=[unit for split in splits for unit in make_units("audioset", split, listing.items[split], 2)],
        convert=preparation.converter(32),
        preload=preparation.PRELOAD,
        bad=(),
        partial=False,
        features=lambda: preparation.features(classes.names),
        description={"description": "", "homepage": ""},
        settings={"frame_side": 32},
        finish=coverage.finish,
    )
    prepare(plan, data_dir, 1, 0, lambda done: None, lambda line: None)
    return data_dir


def prepare_once(once):
    """A data_dir that no test changes."""
    return once("audioset", lambda path: prepare_small(write_audioset(path / "source"), path / "data")) / "data"


@pytest.fixture(scope="session")
def prepared(once):
    return prepare_once(once)


@pytest.fixture
def tree(prepared, tmp_path):
    """A copy of the data set's folder, to be damaged; its data_dir is `tmp_path`."""
    return shutil.copytree(prepared / "audioset/1.0.0", tmp_path / "audioset/1.0.0")


def refusal(action, *arguments):
    with pytest.raises(Failure) as failure:
        action(*arguments)
    assert failure.value.code == Code.DATA
    return str(failure.value)


def key_of(example):
    return example.name.partition("key ")[2].rstrip(")")


def by_key(examples):
    return {key_of(examples[i]): examples[i] for i in range(len(examples))}


def test_a_split_holds_its_clips_their_labels_and_recordings(prepared):
    source = source_of(prepared)
    assert source.contents().classes == CLASSES
    assert source.contents().num_examples == {"train": 5, "test": 4}
    train, test = by_key(source.load("train")), by_key(source.load("test"))
    assert {key: example.labels for key, example in train.items()} == {
        "-train_0000_30000": (0, 2),
        "-train_0001_30000": (0, 2),
        "-train_0002_30000": (0, 2),
        "-train_0003_30000": (0, 2),
        "-train_0004_5000": (1,),
    }
    assert {key: example.labels for key, example in test.items()} == {
        "-eval_00000_0": (3,), "-eval_00001_0": (0, 1), "-eval_00002_0": (2,), "-eval_00003_0": (2,)
    }  # fmt: skip
    assert test["-eval_00000_0"].inputs.keys() == {"audio", "video"}
    assert test["-eval_00000_0"].inputs["audio"] is test["-eval_00000_0"].inputs["video"]
    frames = train["-train_0004_5000"].inputs["video"].frames(0.2, 5, 25.0, None)
    assert [number_of(frame) for frame in frames] == [130, 131, 132, 133, 134]  # of a whole video, from its fifth second
    assert train["-train_0000_30000"].inputs["video"].frames(0.0, 5, 25.0, None) is None
    assert train["-train_0003_30000"].inputs["audio"].sound(0.0, 1.0, 48_000) is None
    assert len(train["-train_0000_30000"].inputs["audio"].sound(0.5, 0.2, 48_000)) == 9_600


def test_the_labels_of_a_clip_are_known_without_reading_it(prepared):
    for settings in ({}, {"audio": None}, {"video": None}):
        for split in ("train", "test"):
            examples = source_of(prepared, **settings).load(split)
            assert [examples.labels(i) for i in range(len(examples))] == [examples[i].labels for i in range(len(examples))]


@pytest.mark.parametrize(("absent", "left_out"), [("audio", "-train_0003_30000"), ("video", "-train_0000_30000")])
def test_clips_without_any_stream_asked_for_are_left_out_and_counted(prepared, capsys, absent, left_out):
    audioset._report_left_out.cache_clear()
    other = "audio" if absent == "video" else "video"
    source = source_of(prepared, **{other: None})
    assert source.contents().num_examples == {"train": 4, "test": 4}
    assert capsys.readouterr().err == f"train: left out 1 of 5 clips, with no {absent}\n"
    keys = by_key(source.load("train")).keys()
    assert keys == by_key(source_of(prepared).load("train")).keys() - {left_out}


def test_a_recording_can_be_pickled_and_reads_the_same(prepared):
    example = source_of(prepared).load("test")[1]
    copy = pickle.loads(pickle.dumps(example)).inputs["audio"]
    original = example.inputs["audio"]
    assert copy.seconds == original.seconds
    np.testing.assert_array_equal(copy.sound(0.1, 0.2, 16_000), original.sound(0.1, 0.2, 16_000))
    np.testing.assert_array_equal(copy.frames(0.1, 3, 10.0, 20), original.frames(0.1, 3, 10.0, 20))


def test_any_window_is_that_of_the_whole(prepared):
    recording = by_key(source_of(prepared).load("test"))["-eval_00003_0"].inputs["video"]
    whole, sound = recording.frames(0.0, 99, 25.0, None), recording.sound(0.0, 9.0, 48_000)
    assert len(whole) == 28
    for start in (0.0, 0.28, 0.64, 0.88, 1.08):
        first = round(start * 25)
        np.testing.assert_array_equal(recording.frames(start, 7, 25.0, None), whole[first : first + 7])
        np.testing.assert_array_equal(recording.sound(start, 0.3, 48_000), sound[round(start * 48_000) :][:14_400])
    assert recording.frames(5.0, 7, 25.0, None).shape[0] == len(recording.sound(5.0, 1.0, 48_000)) == 0
    slower = [number_of(frame) for frame in recording.frames(0.1, 6, 10.0, None)]
    assert slower == [2, 5, 7, 10, 12, 15]
    assert recording.frames(0.0, 2, 25.0, 16).shape == (2, 16, 16, 3)
    assert recording.frames(0.0, 2, 25.0, 64).shape == (2, 32, 32, 3)


def test_full_is_both_lists_of_train(tmp_path):
    folder = write_audioset(tmp_path / "source")
    data_dir = prepare_small(folder, tmp_path / "data", ("unbalanced_train", "eval"))
    told = refusal(source_of(data_dir).load, "train")
    assert told.startswith("error[3] data set audioset, split train: prepared without balanced_train: ")
    assert "\n  found: unbalanced_train, eval\n" in told
    assert len(source_of(data_dir).load("test")) == 4


def test_full_without_the_unbalanced_list_is_refused_with_the_other_subset(prepared):
    told = refusal(source_of(prepared, subset="full").load, "train")
    assert told == (
        f"error[3] data set audioset, split train: prepared without unbalanced_train: {prepared}/audioset/1.0.0\n"
        "  found: balanced_train, eval\n"
        "  try: --config.data.subset=balanced; or python -m scripts.prepare_audioset --segments=CSV,CSV"
        f" --labels=class_labels_indices.csv --clips=DIR --data_dir={prepared} with another --data_dir,"
        " and that list among the others"
    )


@pytest.mark.parametrize(("subset", "count"), [("full", 2_063_949), ("balanced", 22_160)])
def test_without_data_the_numbers_are_those_of_the_lists(tmp_path, subset, count):
    source = source_of(tmp_path, subset=subset)
    assert source.contents().num_examples == {"train": count, "test": 20_371}
    assert len(source.contents().classes) == 527
    told = refusal(source.load, "test")
    assert told.startswith("error[3] data set audioset, split test")
    assert "--segments=CSV,CSV --labels=class_labels_indices.csv --clips=DIR" in told


def test_frames_smaller_than_the_model_sees_are_refused(prepared):
    larger = FILM | {"size": (40, 48)}
    told = refusal(source_of(prepared, video=larger).load, "train")
    assert "prepared with frames of 32 pixels, config needs 40" in told
    assert "--frame_side=256" in told
    assert len(source_of(prepared, video=None).load("train")) == 4


def test_a_damaged_index_is_told(tree, tmp_path):
    streams = tree / "eval.streams.npy"
    for data in (b"", streams.read_bytes()[:-2], (tree / "balanced_train.streams.npy").read_bytes(), None):
        streams.unlink(missing_ok=True)
        if data is not None:
            streams.write_bytes(data)
        told = refusal(source_of(tmp_path).load, "test")
        assert told.startswith(f"error[3] eval.streams.npy: cannot be read: {tree}\n")
        assert told.endswith("  try: restore it from a copy, or prepare the data set again")
    assert len(source_of(tmp_path).load("train")) == 5


LONG = {"descr": "<u2", "fortran_order": False, "shape": (9_999_999_999, 2)}


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (b"\x93NUMPY\x01\x00\x12\x00{'descr': ('<u2',\n", "its header cannot be read"),
        (b"\x80\x04.", "contains Python objects, which are never loaded"),
        (np.zeros((4, 3), np.uint16), "an array of uint16 (4, 3)"),
        (np.zeros(4, np.uint16), "an array of uint16 (4,)"),
        (np.zeros((4, 2)), "an array of float64 (4, 2)"),
        (b"\x93NUMPY\x01\x00v\x00" + f"{LONG!r}".ljust(117).encode() + b"\n", "holds 19,999,999,998 numbers"),
    ],
)
def test_an_index_that_is_another_array_is_told(tree, tmp_path, array, found):
    path = tree / "eval.streams.npy"
    if isinstance(array, bytes):
        path.write_bytes(array)
    else:
        np.save(path, array)
    message = refusal(source_of(tmp_path).load, "test")
    assert message.startswith(f"error[3] eval.streams.npy: cannot be read: {tree}\n  found: {found}")


def test_names_of_classes_that_are_no_text_are_told(tree, tmp_path):
    (tree / "label.labels.txt").write_bytes(b"Speech\n\xe5\n")
    assert refusal(source_of(tmp_path).contents).startswith(f"error[3] label.labels.txt: cannot be read: {tree}\n")


def test_a_setting_that_is_no_number_is_told(tree, tmp_path):
    manifest = json.loads((tree / "preparation.json").read_text())
    (tree / "preparation.json").write_text(json.dumps(manifest | {"settings": {"frame_side": "256"}}))
    message = refusal(source_of(tmp_path).load, "test")
    assert "found: settings.frame_side: '256'" in message


@pytest.mark.parametrize(
    ("film", "found"),
    [
        (lambda: written(".m4a", None), "no film that can be decoded"),
        (lambda: written(".mp4", "yuv444p"), "frames of another kind than they are kept as"),
        (lambda: written(".mp4", "yuv420p")[:300], "cannot be decoded: "),
        (lambda: b"no film at all", "cannot be decoded: "),
    ],
    ids=["sound alone", "other pixels", "cut", "text"],
)
def test_a_stored_film_that_is_another_is_told(film, found):
    with pytest.raises(Failure) as failure:
        StoredRecording(b"", film(), 1.0, "shard 0 record 0 (key a)").frames(0.0, 2, 25.0, None)
    assert failure.value.what == "shard 0 record 0 (key a): the film is damaged"
    assert failure.value.found.startswith(found)


def test_a_stored_sound_that_is_another_is_told():
    data = io.BytesIO()
    soundfile.write(data, np.zeros((100, 2)), 48_000, format="FLAC")
    with pytest.raises(Failure) as failure:
        StoredRecording(data.getvalue(), b"", 1.0, "a").sound(0.0, 0.1, 8000)
    assert (failure.value.what, failure.value.found) == ("a: the sound is damaged", "2 channels at 48,000 Hz")


def written(suffix, form):
    """A file of a silent second or, with a form of pixels, of four grey frames."""
    data = io.BytesIO()
    with av.open(data, "w", format={".m4a": "ipod", ".mp4": "mp4"}[suffix]) as file:
        if form is None:
            stream = file.add_stream("aac", rate=48_000, layout="mono")
            frames = [av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")]
            frames[0].sample_rate = 48_000
        else:
            stream = file.add_stream("libx264", rate=25, width=32, height=32, pix_fmt=form)
            frames = [av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8)) for _ in range(4)]
        for frame in [*frames, None]:
            file.mux(stream.encode(frame))
    return data.getvalue()


def test_a_damaged_shard_is_told(tree, tmp_path):
    shard = min(tree.glob("*eval*array_record*"))
    shard.write_bytes(shard.read_bytes()[:-9])
    assert refusal(source_of(tmp_path).load, "test").startswith(f"error[3] damaged shard {shard.name}: ")


def test_the_identity_changes_with_the_contents(prepared, tree, tmp_path):
    before = source_of(prepared).identity()
    assert source_of(tmp_path).identity() == before
    manifest = json.loads((tree / "preparation.json").read_text())
    next(iter(manifest["shards"].values()))["sha256"] = "0" * 64
    (tree / "preparation.json").write_text(json.dumps(manifest))
    assert source_of(tmp_path).identity() != before


def test_an_index_gives_back_what_was_written(tmp_path):
    examples = [(["audio"], (1, 500)), (["audio", "video"], (0,)), (["video"], (3, 4, 526)), (["video"], ())]
    example_index.write(tmp_path, "eval", examples)
    index = example_index.read(tmp_path, "eval", 4)
    assert [index.labels(i) for i in range(4)] == [(1, 500), (0,), (3, 4, 526), ()]
    assert index.having(["audio"]).tolist() == [0, 1]
    assert index.having(["video"]).tolist() == [1, 2, 3]
    assert index.having(["audio", "video"]).tolist() == [0, 1, 2, 3]
