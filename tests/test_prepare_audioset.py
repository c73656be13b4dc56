"""The command that prepares AudioSet: lists, clips and coverage; the same bytes however it runs."""

import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from perceiver_jax.data.preparation import audioset
from tests import preparing
from tests.data.preparation.clips import EVAL, TRAIN, write_audioset, write_film, write_lists, write_wav
from tests.preparing import hashes, wait_for_shards

SHARDS = {"balanced_train": 13_296, "unbalanced_train": 0, "eval": 10_186}  # three each


def words_of(source, data_dir, *arguments, lists=("balanced_train", "eval")):
    segments = ",".join(f"{source}/{split}_segments.csv" for split in lists)
    where = ["--segments", segments, "--labels", f"{source}/class_labels_indices.csv", "--clips", f"{source}/clips"]
    return [*where, "--data_dir", str(data_dir), "--allow_partial", "--num_workers=1", "--frame_side=32", *arguments]


@pytest.fixture
def launch(monkeypatch, capsys):
    """Runs the command in this process: its exit code, stdout and stderr."""

    def launch(source, data_dir, *arguments, **more):
        return preparing.launch("audioset", words_of(source, data_dir, *arguments, **more), monkeypatch, capsys)

    return launch


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_audioset(tmp_path_factory.mktemp("audioset"))


def coverage(data_dir):
    return json.loads((data_dir / "audioset/1.0.0/coverage.json").read_text())


def test_a_run_in_parts_or_killed_ends_with_the_bytes_of_one_that_was_not(tmp_path, launch, monkeypatch, source):
    run = preparing.start("audioset", "audioset", SHARDS, words_of(source, tmp_path / "killed"), tmp_path, TZ="Asia/Tokyo")
    wait_for_shards(tmp_path / "killed/audioset/1.0.0.incomplete", 2)
    run.kill()
    run.communicate()
    assert not (tmp_path / "killed/audioset/1.0.0").exists()
    monkeypatch.setattr(audioset, "SHARDS", SHARDS)
    for part in ("--part=2/2", "--part=1/2", "--seal"):
        code, _, err = launch(source, tmp_path / "parts", part)
        assert code == 0, err
    for name, workers in (("killed", 1), ("quiet", 2)):
        code, _, err = launch(source, tmp_path / name, f"--num_workers={workers}")
        assert code == 0, err
    quiet = hashes(tmp_path / "quiet")
    assert len(quiet) == 6 + 3 + 4 + 4  # shards; of TFDS and labels; reports and manifest; of the index
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "parts") == quiet


def test_what_is_there_is_said_and_read_by_tfds(tmp_path, launch, source):
    code, out, err = launch(source, tmp_path)
    assert (code, out) == (0, f"{tmp_path}/audioset/1.0.0 is ready: --config.data.data_dir={tmp_path}\n")
    assert err.startswith(
        f"listing {source}/clips\n"
        "balanced_train: 5 of 5 clips, 0.0% missing\n"
        "warning: balanced_train has no clip of 1 of 4 classes: Animal\n"
        "eval: 4 of 4 clips, 0.0% missing\n"
    )
    assert "warning: 1 items no-audio: -train_0003_30000\n" in err
    assert "warning: 1 items no-video: -train_0000_30000\n" in err
    assert "warning: 1 items resampled-from-8000: -train_0001_30000\n" in err
    assert "balanced_train: 5 of 5 clips prepared; none missing; 1 no-audio, 1 no-video\n" in err
    builder = tfds.builder_from_directory(tmp_path / "audioset/1.0.0")
    assert builder.info.features["label"].feature.names == ["Speech", "Male speech, man speaking", "Music", "Animal"]
    assert "balanced_train 5 of 5, eval 4 of 4" in builder.info.description
    stored = {one["name"].decode(): one for one in builder.as_data_source("balanced_train")}
    assert stored.keys() == {f"{video}_{round(start * 1000)}" for video, start, *_ in TRAIN}
    assert stored["-train_0000_30000"]["label"] == [0, 2]
    assert stored["-train_0000_30000"]["seconds"] == np.float32(1.0)
    beginnings = {name: (one["audio"][:4], one["video"][4:8]) for name, one in stored.items()}
    assert beginnings == {
        "-train_0000_30000": (b"fLaC", b""),
        "-train_0001_30000": (b"fLaC", b"ftyp"),
        "-train_0002_30000": (b"fLaC", b"ftyp"),
        "-train_0003_30000": (b"", b"ftyp"),
        "-train_0004_5000": (b"fLaC", b"ftyp"),
    }
    found = coverage(tmp_path)
    assert found["splits"]["balanced_train"] == {
        "listed": 5, "prepared": 5, "missing": {}, "absent": {"no-audio": 1, "no-video": 1}, "without_file": []
    }  # fmt: skip
    assert [(one["name"], one["balanced_train"], one["eval"]) for one in found["classes"]] == [
        ("Speech", {"listed": 4, "prepared": 4}, {"listed": 1, "prepared": 1}),
        ("Male speech, man speaking", {"listed": 1, "prepared": 1}, {"listed": 1, "prepared": 1}),
        ("Music", {"listed": 4, "prepared": 4}, {"listed": 2, "prepared": 2}),
        ("Animal", {"listed": 0, "prepared": 0}, {"listed": 1, "prepared": 1}),
    ]


def test_clips_that_are_missing_bad_unknown_or_unlisted_are_counted_by_their_reasons(tmp_path, launch):
    source = write_lists(tmp_path / "source", balanced_train=TRAIN, eval=EVAL)
    with (source / "balanced_train_segments.csv").open("a") as file:
        file.write('ABCDEFGHIJK, 0.000, 1.000, "/m/x,/m/y"\nABCDEFGHIJ_, 0.000, 1.000, "/m/y,/m/09x0r"\n')
    for video, *_ in (*TRAIN[:3], *EVAL):
        write_wav(source / f"clips/{video}.wav")
    (source / f"clips/{TRAIN[3][0]}.wav").write_bytes(b"")
    write_wav(source / "clips/ABCDEFGHIJ_.wav", seconds=0.3)
    write_wav(source / "clips/ABCDEFGHI--.wav")
    (source / "clips/list.json").write_text("{}")
    arguments = source, tmp_path / "out", "--max_missing=0.2"
    code, _, err = launch(*arguments)
    assert code == 3
    for line in (
        "1 files are of no clip that is to be prepared: ABCDEFGHI--.wav\n",
        "ignored 1 files whose names are not those of sounds or films: list.json\n",
        "3 labels are of no class in --labels: /m/x, /m/y\n",
        "left out 1 clips without a known label: ABCDEFGHIJK_0\n",
        "balanced_train: 5 of 6 clips, 16.7% missing\n",
        f"bad item {TRAIN[3][0]}_30000: empty-file: has no bytes\n",
        "bad item ABCDEFGHIJ__0: too-short: lasts 0.30 s; 0.5 s are needed\n",
    ):
        assert line in err
    code, _, err = launch(*arguments, "--max_bad=2")
    assert code == 0, err
    reasons = "1 empty-file, 1 no-file, 1 no-known-label, 1 too-short"
    assert f"balanced_train: 3 of 7 clips prepared; {reasons}; 0 no-audio, 3 no-video\n" in err
    found = coverage(tmp_path / "out")
    assert found["splits"]["balanced_train"]["listed"] == 7
    assert found["splits"]["balanced_train"]["missing"] == {
        "empty-file": 1, "no-file": 1, "no-known-label": 1, "too-short": 1
    }  # fmt: skip
    assert found["splits"]["balanced_train"]["without_file"] == [f"{TRAIN[4][0]}_5000"]
    assert found["unknown_labels"] == {"/m/x": 1, "/m/y": 2}
    assert found["left_out"] == {"no-known-label": ["ABCDEFGHIJK_0"], "duplicate": []}
    assert found["classes"][1]["balanced_train"] == {"listed": 1, "prepared": 0}


def test_more_missing_than_may_be_is_refused_with_the_names_looked_for(tmp_path, launch):
    source = write_lists(tmp_path / "source", balanced_train=TRAIN, eval=EVAL)
    write_wav(source / "clips/clip-1.wav")
    code, _, err = launch(source, tmp_path / "out")
    assert (code, (tmp_path / "out").exists()) == (3, False)
    assert err.endswith(
        "error[3] 5 of 5 clips of balanced_train have no file: first -train_0000_30000\n"
        "  found: 1 files are of no clip that is to be prepared: clip-1.wav\n"
        "  expected: files called -train_0000, Y-train_0000, -train_0000_30 or -train_0000_30000, for example\n"
        "  try: --template for other names, or --max_missing with the portion that may be missing\n"
    )
    code, _, err = launch(source, tmp_path / "out", "--template={id}_{start:06d}")
    assert code == 3
    assert err.endswith(
        "  found: 1 files fit no clip by --template: clip-1.wav\n"
        "  expected: files called -train_0000_000030, for example\n"
        "  try: another --template, or --max_missing with the portion that may be missing\n"
    )


def test_clips_that_are_left_out_on_demand_are_listed_and_counted_by_class(tmp_path, launch):
    source = write_lists(tmp_path / "source", balanced_train=[*TRAIN, TRAIN[0]], eval=EVAL)
    for video, *_ in (*TRAIN, *EVAL):
        write_wav(source / f"clips/{video}.wav")
    write_wav(source / f"clips/{TRAIN[1][0]}.flac")
    code, _, err = launch(source, tmp_path / "out", "--drop_duplicates")
    assert code == 0, err
    several = f"{TRAIN[1][0]}_30000 ({TRAIN[1][0]}.wav)"
    assert f"1 clips have several files of sound or of film; the first that fits is taken: {several}\n" in err
    found = coverage(tmp_path / "out")
    assert found["splits"]["balanced_train"]["listed"] == 6
    assert found["splits"]["balanced_train"]["missing"] == {"duplicate": 1}
    assert found["left_out"]["duplicate"] == [f"{TRAIN[0][0]}_30000"]
    counts = [one["balanced_train"] for one in found["classes"]]
    assert sum(count["listed"] - count["prepared"] for count in counts) == len(TRAIN[0]) - 3


def test_a_template_finds_other_names(tmp_path, launch):
    source = write_lists(tmp_path / "source", eval=EVAL)
    for video, *_ in EVAL:
        write_wav(source / f"clips/eval-{video}@000.wav")
    code, _, err = launch(source, tmp_path / "out", "--template={split}-{id}@{start:03d}", lists=["eval"])
    assert code == 0, err


def test_the_same_sound_in_two_splits_is_told(tmp_path, launch):
    source = write_lists(tmp_path / "source", balanced_train=TRAIN[:2], eval=EVAL[:2])
    for number, (video, *_) in enumerate((*TRAIN[:2], *EVAL[:2])):
        write_wav(source / f"clips/{video}.{'wav' if number else 'flac'}", hertz=300.0 + 10 * (number % 3))
    code, _, err = launch(source, tmp_path / "out")
    assert code == 0, err
    assert "warning: 1 items are the same in two splits, byte for byte: -eval_00001_0 = -train_0000_30000\n" in err


def test_the_same_command_again_says_that_all_is_done_and_another_is_refused(tmp_path, launch):
    source = write_lists(tmp_path / "source", eval=EVAL)
    for video, *_ in EVAL:
        write_wav(source / f"clips/{video}.wav")
    assert launch(source, tmp_path / "out", lists=["eval"])[0] == 0
    before = hashes(tmp_path / "out")
    shutil.copytree(source, tmp_path / "moved", copy_function=shutil.copy2)
    assert launch(tmp_path / "moved", tmp_path / "out", lists=["eval"])[0] == 0
    code, _, err = launch(source, tmp_path / "out", "--frame_side=64", lists=["eval"])
    assert (code, "holds a data set made with other settings\n  found: frame_side 32, classes 4 (" in err) == (6, True)
    names = source / "class_labels_indices.csv"
    names.write_text(names.read_text().replace("Animal", "Beast"))
    assert launch(source, tmp_path / "out", lists=["eval"])[0] == 6
    assert hashes(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--segments=x.csv"], 2, "error[2] --segments x.csv: which split is it? Its name does not say\n"),
        (["--segments=eval=x.csv"], 3, "error[3] --segments x.csv: does not exist\n"),
        (["--labels=x.csv"], 3, "error[3] --labels x.csv: does not exist\n"),
        (["--clips=nowhere"], 3, "error[3] --clips nowhere: does not exist\n"),
        (["--noallow_partial"], 3, "  found: 4 classes\n  expected: 527\n"),
        (["--data_dir={source}/clips/a"], 6, "error[6] --data_dir {source}/clips/a: is in --clips\n"),
        (["--template={{name}}"], 2, "error[2] --template {{name}}\n"),
        (["--max_missing=1.5"], 2, "error[2] flag --max_missing=1.5: 1.5 is not a number in the range [0.0, 1.0]"),
        (["--source=x"], 2, "error[2] Unknown command line flag 'source'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_reported(tmp_path, launch, source, arguments, code, message):
    found, _, err = launch(source, tmp_path / "out", *(word.format(source=source) for word in arguments))
    assert found == code
    assert message.format(source=source) in err
    assert not (tmp_path / "out").exists()


def test_a_decoder_that_crashes_costs_one_clip(tmp_path, launch, monkeypatch):
    source = write_lists(tmp_path / "source", eval=EVAL)
    for video, *_ in EVAL[1:]:
        write_wav(source / f"clips/{video}.wav")
    write_film(source / f"clips/{EVAL[0][0]}.mp4")
    monkeypatch.setattr("perceiver_jax.data.preparation.audioset.converter", lambda side: crashing)
    code, _, err = launch(source, tmp_path / "out", "--max_bad=1", lists=["eval"])
    assert code == 0, err
    assert "bad item -eval_00000_0: decoder-crash: ends its decoder by SIGABRT\n" in err


def crashing(item, data):
    """Ends the process for films."""
    import os

    if item.form.files[0].name.endswith(".mp4"):
        os.abort()
    return audioset._convert(item, data, 32)
