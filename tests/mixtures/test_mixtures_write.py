"""Mixtures: AudioSet's layout, every class in both splits, no instrument in two of them, the same bytes every time."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from perceiver_jax.data.preparation import audioset_classes, audioset_segments
from perceiver_jax.readers.sf2 import read_soundfont
from scripts.mixtures import parts, write
from scripts.mixtures.parts import CLASSES, DRUMS, PROGRAMS, RATE
from tests.door import fresh_flags
from tests.readers.soundfonts import INSTRUMENT, SAMPLE, header, sine, soundfont

ROOT = Path(__file__).parents[2]
HITS = ("Stick", "Hand Clap", "Closed HH", "Kick", "Snare 1", "Tom Low", "Cowbell", "Ride", "Shaker", "Conga", "Zap")
KIT = """<?xml version="1.0"?><drumkit_info xmlns="http://www.hydrogen-music.org/drumkit"><name>{}</name><instrumentList>
{}</instrumentList></drumkit_info>"""
INSTRUMENT_OF_KIT = """<instrument><id>{0}</id><name>{1}</name><instrumentComponent>
<layer><filename>absent{0}.wav</filename></layer><layer><filename>{0}.wav</filename></layer></instrumentComponent></instrument>"""


def font():
    """A soundfont of all programs that classes have, each with its own recording."""
    count = 1 + max(program for splits in PROGRAMS.values() for split in splits for program in split)
    samples = np.concatenate([sine(200 + 20 * i, RATE, 600) for i in range(count)])
    headers = [header(600 * i, 600 * i + 600, (0, 1), RATE, 60) for i in range(count)]
    zones = [[[(SAMPLE, i)]] for i in range(count)]
    return soundfont(samples, headers, zones, {(0, i): [[(INSTRUMENT, i)]] for i in range(count)})


def kits(folder, names=HITS, count=4):
    """Drum kits whose every hit is a tone of its own."""
    for number in range(count):
        kit = folder / f"kit{number}"
        kit.mkdir(parents=True)
        listed = "".join(INSTRUMENT_OF_KIT.format(i, name) for i, name in enumerate(names))
        (kit / "drumkit.xml").write_text(KIT.format(kit.name, listed))
        for i in range(len(names)):
            soundfile.write(kit / f"{i}.wav", sine(3000 + 100 * i + 10 * number, RATE, 600), RATE)
    return folder


@pytest.fixture
def launch(tmp_path, monkeypatch, capsys):
    """Runs the command in this process, with two keys an instrument: its exit code, stdout and stderr."""
    monkeypatch.setattr(parts, "KEYS", (48, 60))
    (tmp_path / "font.sf2").write_bytes(font())

    def launch(output, *arguments):
        paths = ["--soundfonts", tmp_path / "font.sf2", "--drumkits", tmp_path / "kits", "--output", output]
        monkeypatch.setattr(sys, "argv", ["write", *map(str, paths), *arguments])
        with fresh_flags(), pytest.raises(SystemExit) as end:
            runpy.run_path(f"{ROOT}/scripts/mixtures/write.py", run_name="__main__")
        return end.value.code, *capsys.readouterr()

    return launch


def test_mixtures_are_laid_out_as_audioset_is(tmp_path, launch):
    kits(tmp_path / "kits")
    code, printed, _ = launch(tmp_path / "out", "--num_train=30", "--num_eval=8")
    assert code == 0
    assert "30 clips of 88 instruments to train on, 8 of 36 others" in " ".join(printed.split())
    classes = audioset_classes.read(tmp_path / "out/class_labels_indices.csv", allow_partial=True)
    assert classes.names == CLASSES
    lists = [tmp_path / f"out/{name}_segments.csv" for name in ("balanced_train", "eval")]
    found = audioset_segments.read([(one.name.removesuffix("_segments.csv"), one) for one in lists], classes, False, True)
    assert {split: len(segments) for split, segments in found.segments.items()} == {"balanced_train": 30, "eval": 8}
    assert not found.unknown
    assert not any(found.unlabelled.values())
    assert all(one.read_text().count("#") == 3 for one in lists)
    for segments in found.segments.values():
        for segment in segments:
            assert 1 <= len(segment.labels) <= write.MAX_CLASSES
            sound, rate = soundfile.read(tmp_path / f"out/clips/Y{segment.video}_{segment.start // 1000}.wav")
            assert (len(sound), rate) == (write.SECONDS * RATE, RATE)
            assert np.abs(sound).max() == pytest.approx(write.PEAK, abs=1e-3)


def test_the_same_seed_gives_the_same_bytes(tmp_path, launch):
    kits(tmp_path / "kits")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert launch(tmp_path / name, "--num_train=3", "--num_eval=2", f"--seed={seed}")[0] == 0
    bytes_of = {
        name: {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*") if path.is_file()} for name in "abc"
    }
    assert bytes_of["a"] == bytes_of["b"]
    assert bytes_of["a"].keys() != bytes_of["c"].keys()


def test_no_instrument_is_in_both_splits(tmp_path):
    known = [*parts.notes(read_soundfont(font())), *parts.hits(kits(tmp_path))]
    of_split = {split: {one.sounds[0].tobytes() for one in known if one.split == split} for split in ("train", "eval")}
    assert of_split["train"] & of_split["eval"] == set()
    for split in of_split:
        assert {one.label for one in known if one.split == split} == set(range(len(CLASSES)))


def test_a_program_is_of_one_class_and_one_split():
    programs = [program for splits in PROGRAMS.values() for split in splits for program in split]
    assert len(set(programs)) == len(programs)
    assert all(trained_on and held_out for trained_on, held_out in PROGRAMS.values())


def test_classes_can_be_listed_between_commas():
    assert not any("," in name for name in CLASSES)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Kick (Tama Superstar 22)", "Bass drum"),
        ("Snare Rimshot", "Rimshot"),
        ("d3 - snare 1", "Snare drum"),
        ("Tom Hi", "Tom-tom"),
        ("tomhi2", "Tom-tom"),
        ("Sabian Hat Semi-Open", "Hi-hat"),
        ("Pedal HH", "Hi-hat"),
        ("Hat Closed", "Hi-hat"),
        ("Crash/Ride Bell (Paiste)", "Cymbal"),
        ("Djembe1 Slap", "Hand drum"),
        ("Sangban1 Bell Hit", "Cowbell"),
        ("Maraca", "Shaker"),
        ("Finger Snaps", "Clapping"),
        ("Zap 1", None),
        ("Whatever", None),
        ("17", None),
    ],
)
def test_a_hit_is_of_the_class_that_its_name_says(name, label):
    assert parts.label_of(name) == (None if label is None else CLASSES.index(label))


def test_a_class_of_one_split_alone_is_told(tmp_path, launch):
    kits(tmp_path / "kits", count=3)
    code, _, printed = launch(tmp_path / "out")
    assert code == 3
    assert f"no instrument of class {next(iter(DRUMS))} in split eval" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["font.sf2", "kits"]


def test_a_folder_without_kits_and_a_damaged_soundfont_are_told(tmp_path, launch):
    (tmp_path / "kits").mkdir()
    code, _, printed = launch(tmp_path / "out")
    assert code == 3
    assert "has no drum kit" in printed
    (tmp_path / "font.sf2").write_bytes(b"RIFF")
    code, _, printed = launch(tmp_path / "out")
    assert code == 3
    assert "soundfont not-a-soundfont" in printed


def test_what_is_there_is_never_written_over(tmp_path, launch):
    kits(tmp_path / "kits")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    code, _, printed = launch(tmp_path / "out")
    assert code == 6
    assert "output is not empty" in printed


def test_the_baselines_are_those_of_what_was_prepared(tmp_path, launch, monkeypatch, capsys):
    kits(tmp_path / "kits")
    assert launch(tmp_path / "out", "--num_train=40", "--num_eval=30")[0] == 0
    lists = ",".join(f"{tmp_path}/out/{name}_segments.csv" for name in ("balanced_train", "eval"))
    paths = ["--segments", lists, "--labels", f"{tmp_path}/out/class_labels_indices.csv", "--clips", f"{tmp_path}/out/clips"]
    for module, arguments in (("scripts.prepare_audioset", [*paths, "--allow_partial"]), ("scripts.mixtures.baselines", [])):
        monkeypatch.setattr(sys, "argv", [module, "--data_dir", f"{tmp_path}/data", *arguments])
        with fresh_flags(), pytest.raises(SystemExit) as end:
            runpy.run_module(module, run_name="__main__")
        assert end.value.code == 0
    rows = re.findall(r"^(.*\S) +(0\.\d{3})$", capsys.readouterr().out, re.MULTILINE)
    names = [name for name, _ in rows]
    assert names == [
        "logistic regression, means of each band",
        "logistic regression, means and deviations of each band",
        "by chance",
    ]
    found = [float(value) for _, value in rows]
    assert found[2] == pytest.approx(0.1, abs=0.03)  # 2.5 of 25 classes are in a clip
    assert min(found[:2]) > found[2]
