"""What is found of ModelNet40 in its three releases, and what is said of what is not right in them."""

import os
import sys

import numpy as np
import pytest

from perceiver_jax.data.preparation.items import Files, Item, Row, read
from perceiver_jax.data.preparation.modelnet40_releases import check_complete, class_of, list_source
from perceiver_jax.data.sources import modelnet40
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from tests.data.preparation.shapes import (
    CLASSES,
    SYSTEM_FILES,
    cloud,
    ids,
    labels,
    meshes,
    resampled,
    write,
    write_arrays,
    write_hdf5,
    write_resampled,
    write_tree,
    write_zip,
    zipped,
)


def contents(listing):
    """What the items of each split hold: label and bytes by key."""
    with Files() as files:
        return {
            split: {item.key: (item.label, read(item, files)) for item in items} for split, items in listing.items.items()
        }


def expected(files, suffix):
    """The label and the bytes of each shape, of a release that has them in files."""
    by_key = {name.rpartition("/")[2].removesuffix(suffix): data for name, data in files.items()}
    return {split: {key: (label, by_key[key]) for key, label in of.items()} for split, of in labels().items()}


def refusal(source, action=list_source):
    with pytest.raises(Failure) as failure:
        action(source)
    assert failure.value.code == Code.DATA
    return str(failure.value)


def test_the_classes_are_the_40_in_alphabetical_order():
    assert len(modelnet40.CLASSES) == 40
    assert list(modelnet40.CLASSES) == sorted(modelnet40.CLASSES)
    assert [modelnet40.CLASSES[i] for i in (0, 23, 36, 39)] == ["airplane", "night_stand", "tv_stand", "xbox"]


@pytest.mark.parametrize(
    ("key", "name"),
    [("night_stand_0001", "night_stand"), ("chair_0012", "chair"), ("tv_stand_1", "tv_stand"), ("chair", "")],
)
def test_a_name_ends_with_its_number_behind_the_last_underscore(key, name):
    assert class_of(key) == name


@pytest.mark.parametrize(
    "place",
    [
        lambda path: write_zip(path),
        lambda path: write_zip(path) / "ModelNet40.zip",
        lambda path: write_tree(path),
        lambda path: write_tree(path / "ModelNet40").parent,
    ],
    ids=["folder of the zip", "zip", "class folders", "folder of class folders"],
)
def test_meshes_are_found_packed_and_unpacked(tmp_path, place):
    name, listing = list_source(place(tmp_path))
    assert name == "meshes"
    assert contents(listing) == expected(meshes(), ".off")
    assert sorted(path.rpartition("/")[2] for path in listing.ignored if "MACOSX" not in path) == [".DS_Store", "README.txt"]


def test_what_systems_add_is_counted_and_not_taken_for_shapes(tmp_path):
    _, listing = list_source(write_zip(tmp_path))
    assert len(listing.ignored) == len(SYSTEM_FILES)
    assert listing.bad == []


def test_the_text_release_is_split_by_its_lists(tmp_path):
    name, listing = list_source(write_resampled(tmp_path))
    assert name == "resampled"
    assert contents(listing) == expected(resampled(), ".txt")
    assert sorted(listing.ignored) == ["filelist.txt", "modelnet40_shape_names.txt"]


def test_the_text_release_is_read_from_a_zip_too(tmp_path):
    files = {f"modelnet40_normal_resampled/{name}": data for name, data in resampled().items()}
    write(tmp_path, {"modelnet40_normal_resampled.zip": zipped(files)})
    _, listing = list_source(tmp_path / "modelnet40_normal_resampled.zip")
    assert contents(listing) == expected(resampled(), ".txt")


@pytest.mark.parametrize("change", [b"\r\n", b"\n\n", b" \n"], ids=["CR LF", "blank lines", "trailing blanks"])
def test_lists_may_be_written_in_other_ways(tmp_path, change):
    files = resampled()
    files["modelnet40_train.txt"] = b"\xef\xbb\xbf" + files["modelnet40_train.txt"].replace(b"\n", change)
    _, listing = list_source(write(tmp_path, files))
    assert contents(listing) == expected(resampled(), ".txt")


def test_arrays_are_found_by_the_base_names_in_their_lists(tmp_path):
    name, listing = list_source(write_hdf5(tmp_path))
    assert (name, listing.published["train"]) == ("hdf5", 9840)
    found = contents(listing)
    for split, shapes in ids().items():
        assert len(found[split]) == len(shapes)
        by_label = sorted((CLASSES.index(label), cloud(label, n, 2048).astype("<f4").tobytes()) for _, label, n in shapes)
        assert sorted(found[split].values()) == by_label
    assert [item.key for item in listing.items["train"]][4:6] == ["ply_data_train0/0004", "ply_data_train1/0000"]


def test_labels_go_by_the_names_that_the_arrays_come_with(tmp_path):
    folder = write_hdf5(tmp_path)
    (folder / "shape_names.txt").write_text("\n".join(reversed(CLASSES)))
    _, listing = list_source(folder)
    assert {item.label for item in listing.items["test"]} == {39 - label for label in labels()["test"].values()}


def test_labels_of_one_axis_are_read_too(tmp_path):
    folder = write_hdf5(tmp_path)
    write_arrays(folder / "ply_data_test0.h5", ids()["test"], label=np.array([8, 8, 23, 23, 37, 37], np.uint8))
    _, listing = list_source(folder)
    assert [item.label for item in listing.items["test"]] == [8, 8, 23, 23, 37, 37]


def test_nothing_and_everything_at_once_are_refused(tmp_path):
    assert refusal(write(tmp_path, {"a/b/c.ply": b""})).startswith(
        f"error[3] no release of ModelNet40: {tmp_path}\n  expected:"
    )
    write_resampled(write_tree(tmp_path))
    assert refusal(tmp_path) == (
        f"error[3] several releases of ModelNet40: {tmp_path}\n  found: the meshes, the 10,000-point text release\n"
        "  try: --source=PATH of one"
    )


def renamed(files, old, new):
    return {name.replace(old, new): data for name, data in files.items()}


def test_folders_the_wrong_way_round_are_reported(tmp_path):
    files = renamed(renamed(meshes(), "chair/train", "train/chair"), "chair/test", "test/chair")
    assert refusal(write_tree(tmp_path, files)) == (
        "error[3] folders in the wrong order: test/chair: test/chair/chair_0005.off\n  expected: chair/test"
    )


def test_a_class_that_does_not_exist_is_refused(tmp_path):
    assert refusal(write_tree(tmp_path, renamed(meshes(), "vase", "dragon"))).startswith(
        "error[3] unknown class dragon: dragon/test/dragon_0005.off\n  expected: one of the 40 of ModelNet40"
    )


def test_a_shape_under_another_class_a_link_and_a_strange_name_are_bad(tmp_path):
    files = renamed(meshes(), "chair/train/chair_0001", "vase/train/chair_0001")
    folder = write_tree(tmp_path, files)
    (folder / "vase/train/vase_0001.off").unlink()
    (folder / "vase/train/vase_0001.off").symlink_to(folder / "vase/train/vase_0002.off")
    os.rename(folder / "vase/train/vase_0003.off", os.fsencode(folder) + b"/vase/train/vase_\xff.off")
    _, listing = list_source(folder)
    assert sorted((bad.key, bad.code) for bad in listing.bad) == [
        ("chair_0001", "wrong-class"),
        ("vase_0001", "not-a-regular-file"),
        ("vase_\\udcff", "name-not-utf8"),
    ]
    assert (len(listing.items["train"]), listing.found("train")) == (9, 12)


def test_two_shapes_of_one_name_are_refused(tmp_path):
    files = meshes() | {"more/chair/train/chair_0001.off": b""}
    assert refusal(write_tree(tmp_path, files)).startswith("error[3] duplicate key chair_0001: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"chair_0001\nchair_0001\n", "duplicate key chair_0001: modelnet40_train.txt line 1, modelnet40_train.txt line 2"),
        (b"chair_0005\n", "duplicate key chair_0005: modelnet40_train.txt line 1, modelnet40_test.txt line 1"),
        (b"chair_0001\n\ndragon_0001\n", "unknown class dragon: modelnet40_train.txt line 3\n"),
        (b"chair\n", "not the name of a shape: chair: modelnet40_train.txt line 1\n  expected: CLASS_0001"),
    ],
    ids=["twice", "in both splits", "unknown class", "no number"],
)
def test_a_faulty_list_is_named_with_its_line(tmp_path, text, message):
    assert refusal(write(tmp_path, resampled() | {"modelnet40_train.txt": text})).startswith(f"error[3] {message}")


def test_a_list_that_is_missing_is_reported(tmp_path):
    folder = write_resampled(tmp_path)
    (folder / "modelnet40_test.txt").unlink()
    assert refusal(folder) == "error[3] 0 files modelnet40_test.txt\n  expected: 1: a part of the release"


def test_listed_files_that_are_not_there_are_named_and_refused_unless_allowed(tmp_path):
    folder = write_resampled(tmp_path)
    (folder / "chair/chair_0002.txt").unlink()
    _, listing = list_source(folder)
    assert refusal(listing, lambda listing: check_complete(listing, False)).startswith(
        "error[3] 1 files listed by the release are missing\n  found: no chair/chair_0002.txt\n"
    )
    assert check_complete(listing, True)[-1] == "1 files listed by the release are missing: chair/chair_0002.txt"
    assert listing.partial


NO_ROWS = np.zeros((0, 2048, 3), np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, ": unexpected arrays\n  found: data None, label (6, 1)\n"),
        ({"label": None}, ": unexpected arrays\n  found: data (6, 2048, 3), label None\n"),
        ({"data": np.zeros((6, 1024, 3), np.float32)}, ": unexpected arrays\n  found: data (6, 1024, 3), label (6, 1)\n"),
        ({"data": np.zeros((6, 2048, 3), np.int32)}, ": unexpected arrays\n"),
        ({"label": np.zeros((5, 1), np.uint8)}, ": unexpected arrays\n  found: data (6, 2048, 3), label (5, 1)\n"),
        ({"label": np.full((6, 1), 40)}, " row 0: label 40 not in 0..39"),
        ({"label": np.array([0, 1, 2, -1, 0, 0])}, " row 3: label -1 not in 0..39"),
    ],
    ids=["no data", "no label", "1,024 points", "whole numbers", "other lengths", "label 40", "label -1"],
)
def test_other_arrays_than_published_are_reported(tmp_path, changes, message):
    folder = write_hdf5(tmp_path)
    write_arrays(folder / "ply_data_test0.h5", ids()["test"], **changes)
    assert refusal(folder).startswith(f"error[3] ply_data_test0.h5{message}")


@pytest.mark.parametrize("data", [b"", b"garbage" * 99, None], ids=["empty", "garbage", "cut in half"])
def test_a_file_that_is_not_a_complete_hdf5_file_is_reported(tmp_path, data):
    folder = write_hdf5(tmp_path)
    path = folder / "ply_data_test0.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if data is None else data)
    assert refusal(folder).startswith("error[3] ply_data_test0.h5: not a complete HDF5 file\n  found: ")


def test_a_damaged_part_of_an_hdf5_file_is_no_fault_of_ours(tmp_path):
    folder = write_hdf5(tmp_path)
    path = folder / "ply_data_test0.h5"
    whole = path.read_bytes()
    said = []
    for at in (0, 16, 24, 40, 112, 160, 816):  # h5py raises OSError, RuntimeError, KeyError, AttributeError, if anything
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            list_source(folder)
        except Failure as failure:
            said.append(failure.what)
    assert set(said) <= {f"ply_data_test0.h5: {what}" for what in ("not a complete HDF5 file", "unexpected arrays")}
    assert len(said) > 3


def test_a_row_that_cannot_be_read_is_a_bad_one(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.zeros((2, 2048, 3), np.float32))
    item = Item("a", 0, str(path), 1, 0, path.stat().st_mtime_ns, Row("other"))
    with Files() as files, pytest.raises(BadFile, match="cannot be read from its HDF5 file"):
        read(item, files)


def test_arrays_in_an_archive_are_reported(tmp_path):
    folder = write_hdf5(tmp_path / "a")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    source = write(tmp_path / "b", {"x.zip": zipped(files)}) / "x.zip"
    assert refusal(source).startswith("error[3] ply_data_train0.h5 in an archive: ")


def test_without_h5py_the_extra_that_has_it_is_named(tmp_path, monkeypatch):
    folder = write_hdf5(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert refusal(folder) == (
        "error[3] the HDF5 release of ModelNet40 needs the package h5py\n  try: pip install -e .[points]"
    )


def everything():
    """Meshes of all 40 classes, one of each in each split."""
    return {f"{name}/{split}/{name}_{i}.off": b"" for name in CLASSES for i, split in enumerate(("train", "test"))}


def test_a_missing_class_is_named(tmp_path):
    files = {name: data for name, data in everything().items() if "night_stand/test" not in name}
    _, listing = list_source(write(tmp_path, files))
    listing.published = {"train": 40, "test": 39}
    assert refusal(listing, lambda listing: check_complete(listing, False)).startswith(
        "error[3] 39 of 40 classes in test; missing night_stand\n  found: train: 40 of 40 classes, 40 of 40 shapes;"
        " test: 39 of 40 classes, 39 of 39 shapes\n"
    )
    assert check_complete(listing, True) == [
        "train: 40 of 40 classes, 40 of 40 shapes",
        "test: 39 of 40 classes, 39 of 39 shapes",
        "test lacks night_stand",
    ]


@pytest.mark.parametrize("published", [39, 41])
def test_another_number_of_shapes_is_refused(tmp_path, published):
    _, listing = list_source(write(tmp_path, everything()))
    listing.published = {"train": published, "test": 40}
    assert refusal(listing, lambda listing: check_complete(listing, False)).startswith(
        f"error[3] 40 shapes in train\n  found: train: 40 of 40 classes, 40 of {published} shapes;"
        f" test: 40 of 40 classes, 40 of 40 shapes\n  expected: {published}\n"
    )


def test_a_split_without_shapes_is_refused_even_of_a_subset(tmp_path):
    _, listing = list_source(write(tmp_path, {name: data for name, data in meshes().items() if "test" not in name}))
    assert refusal(listing, lambda listing: check_complete(listing, True)).startswith("error[3] no shapes for test\n")
