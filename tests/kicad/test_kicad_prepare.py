"""The command that prepares KiCad's models: whole families in one split, the same bytes however it runs, all or nothing."""

import collections
import hashlib
import json
import os
import runpy
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from perceiver_jax.errors import Failure
from scripts.kicad import models as kicad
from tests.door import fresh_flags

ROOT = Path(__file__).parents[2]
SHAPE = (
    "Shape {{ geometry IndexedFaceSet {{ coordIndex [0,1,2,-1] coord Coordinate {{ point [0 0 0, {} 0 0, 0 {} 0] }} }} }}\n"
)
MOVED = "Transform { children [ ] }\n"


@pytest.fixture
def launch(monkeypatch, capsys):
    """Runs the command in this process: its exit code, stdout and stderr."""

    def launch(source, data_dir, *arguments):
        words = ["prepare", "--source", source, "--data_dir", data_dir, "--num_workers=1", "--num_points=8", *arguments]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        with fresh_flags(), pytest.raises(SystemExit) as end:
            runpy.run_path(f"{ROOT}/scripts/kicad/prepare.py", run_name="__main__")
        return end.value.code, *capsys.readouterr()

    return launch


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(kicad, "MIN_MODELS", 12)
    monkeypatch.setattr(kicad, "MAX_MODELS", 20)


def write(source, label, names, extra=""):
    folder = source / f"{label}.3dshapes"
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        (folder / f"{name}.wrl").write_text(
            f"#VRML V2.0 utf8\n# Copyright {name}\n{SHAPE.format(i + 1, len(label) + 1)}{extra}"
        )


@pytest.fixture
def source(tmp_path):
    """A library of two classes of three families of five models, one class that is too small, and other files."""
    source = tmp_path / "library"
    for label in ("Diode", "Crystal"):
        write(source, label, [f"{label}_{family}_{i}x{i}mm" for family in "ABC" for i in range(5)])
    write(source, "Valve", ["Valve_1"])
    (source / "README.md").write_text("models\n")
    (source / "Diode.3dshapes/Diode_A_0x0mm.step").write_text("")
    return source


def files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_library_becomes_class_folders_of_points(source, tmp_path, launch):
    code, out, err = launch(source, tmp_path / "out")
    assert (code, out) == (
        0,
        f"{tmp_path}/out is ready, 2 classes, 20 train and 10 test shapes: --config.data.data_dir={tmp_path}/out\n",
    )
    shapes = sorted((tmp_path / "out").glob("*/*/*.npy"))
    assert collections.Counter(path.parent.name for path in shapes) == {"Diode": 15, "Crystal": 15}
    for path in shapes:
        points = np.load(path)
        assert (points.shape, points.dtype) == ((8, 3), np.float32)
    largest = [
        max(np.abs(np.load(path)).max() for path in shapes if path.parent.name == name) for name in ("Diode", "Crystal")
    ]
    assert 5 < min(largest) <= max(largest) <= 7.5  # half of the largest model's 15: parts keep their size
    assert (tmp_path / "out/bad_items.jsonl").read_text() == ""
    assert "step 30/30" in err
    assert sorted(os.listdir(tmp_path)) == ["library", "out"]


def test_two_workers_write_the_same_bytes_as_one(source, tmp_path, launch):
    assert launch(source, tmp_path / "one")[0] == 0
    assert launch(source, tmp_path / "two", "--num_workers=2")[0] == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_files_that_give_no_shape_are_left_out_and_reported(source, tmp_path, launch):
    write(source, "Diode", ["Diode_A_8x8mm"], extra=MOVED)
    (source / "Diode.3dshapes/Diode_B_8x8mm.wrl").write_text("#VRML V2.0 utf8\n" + SHAPE.format(0, 0))
    code, out, err = launch(source, tmp_path / "out")
    assert (code, "20 train and 10 test" in out) == (0, True)
    lines = map(json.loads, (tmp_path / "out/bad_items.jsonl").read_text().splitlines())
    assert [(line["key"], line["code"]) for line in lines] == [
        ("Diode_A_8x8mm.wrl", "vrml-node"),
        ("Diode_B_8x8mm.wrl", "degenerate"),
    ]
    assert "left out Diode_A_8x8mm.wrl: vrml-node: has a Transform node" in err
    assert "left out 1 of 32 models: degenerate\nleft out 1 of 32 models: vrml-node\n" in err


def test_a_stopped_run_leaves_nothing_and_says_so(source, tmp_path, launch, monkeypatch):
    convert, third = kicad.convert, kicad.list_models(source)[2].path

    def stop_at_the_third(path, num_points):
        if path == third:
            os.kill(os.getpid(), signal.SIGTERM)
        return convert(path, num_points)

    monkeypatch.setattr(kicad, "convert", stop_at_the_third)
    code, out, err = launch(source, tmp_path / "out")
    assert (code, out) == (143, "")
    assert err.endswith("stopped at step 3; the same command starts over\n")
    assert os.listdir(tmp_path) == ["library"]


def test_a_class_without_a_shape_left_in_a_split_is_refused(source, tmp_path, launch):
    write(source, "Diode", [f"Diode_{family}_{i}x{i}mm" for family in "ABC" for i in range(5)], extra=MOVED)
    code, _, err = launch(source, tmp_path / "out")
    assert (code, "error[3] class Diode has no test shapes: none of its files could be read" in err) == (3, True)
    assert os.listdir(tmp_path) == ["library"]


def test_families_are_whole_in_one_split_and_every_class_is_in_both(source):
    models = kicad.list_models(source)
    splits = collections.defaultdict(set)
    for model in models:
        splits[kicad.family(model.path)].add(model.split)
    assert [len(found) for found in splits.values()] == [1] * 6
    assert {(model.label, model.split) for model in models} == {
        (label, split) for label in ("Crystal", "Diode") for split in ("train", "test")
    }


def test_a_family_is_what_is_left_of_a_name_without_its_numbers():
    assert kicad.family(Path("x/PinHeader_2x40_P2.54mm_Vertical.wrl")) == "PinHeader_x_P.mm_Vertical"


@pytest.mark.parametrize("sizes", [[1, 1], [50, 50], [1, 99], [99, 1], [3, 3, 3], [1] * 40, [80, 40, 40, 20]])
def test_every_class_has_both_splits_whatever_its_families(sizes):
    paths = [
        Path(f"{'abcdefghijklmnopqrstuvwxyz'[i % 26] * (1 + i // 26)}{n}")
        for i, size in enumerate(sizes)
        for n in range(size)
    ]
    for label in range(50):
        chosen = kicad._test_families(f"class {label}", paths)
        assert 0 < len(chosen) < len(sizes)


def test_copies_under_other_names_and_comments_are_taken_once(source):
    original = source / "Diode.3dshapes/Diode_A_1x1mm.wrl"
    copy = source / "Diode.3dshapes/Diode_Z_1x1mm.wrl"
    copy.write_text(original.read_text().replace("# Copyright", "# (C)"))
    assert copy not in [model.path for model in kicad.list_models(source)]
    assert original in [model.path for model in kicad.list_models(source)]


def test_large_classes_and_large_files_are_cut(source, monkeypatch):
    write(source, "Fuse", [f"Fuse_{'AB'[i % 2]}_{i}" for i in range(50)])
    assert sum(model.label == "Fuse" for model in kicad.list_models(source)) == kicad.MAX_MODELS
    monkeypatch.setattr(kicad, "MAX_BYTES", 10)
    with pytest.raises(Failure, match="has no class of models"):
        kicad.list_models(source)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--source=nowhere"], 3, "error[3] --source nowhere: is not a directory\n"),
        (
            ["--source={tmp}/full"],
            3,
            "error[3] has no class of models: {tmp}/full\n  expected: folders NAME.3dshapes of 12 models",
        ),
        (["--data_dir={tmp}/library/a"], 6, "error[6] --data_dir {tmp}/library/a: is in --source\n"),
        (["--data_dir={tmp}/full"], 6, "error[6] output is not empty: {tmp}/full\n  try: another --data_dir\n"),
        (["--data_dir={tmp}/full/loop"], 6, "error[6] cannot write to {tmp}/full/loop\n  found: "),
        (["--data_dir={tmp}/full/file/a"], 6, "error[6] cannot write to {tmp}/full/file/a\n  found: "),
        (["--num_points=0"], 2, "error[2] flag --num_points=0: 0 is not a positive integer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_reported(source, tmp_path, launch, arguments, code, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    (tmp_path / "full/loop").symlink_to(tmp_path / "full/loop")
    found, out, err = launch(source, tmp_path / "out", *(word.format(tmp=tmp_path) for word in arguments))
    assert (found, out) == (code, "")
    assert message.format(tmp=tmp_path) in err
    assert sorted(os.listdir(tmp_path)) == ["full", "library"]
