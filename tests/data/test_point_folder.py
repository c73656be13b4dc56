"""Folders of shapes as users have them: their contents, and what is reported of a file without a shape."""

import contextlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from perceiver_jax.data import class_folders, pipeline
from perceiver_jax.data.examples import Split
from perceiver_jax.data.sources.point_folder import DENSITY, SHAPES, Config, PointFolder, read_shape
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.points.config import Points
from tests.problems import BATCHES, data_of, take

AUGMENT = Points(
    kind="points",
    subset="random",
    rotate_degrees=0.0,
    point_scale=0.0,
    jitter=0.0,
    extent=None,
    half_side=1.0,
    object_scale=0.0,
    object_translate=0.0,
)
TETRAHEDRON = b"OFF\n4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


@pytest.fixture(autouse=True)
def _fresh():
    class_folders.list_folder.cache_clear()
    read_shape.cache_clear()


def config_of(folder, **changes):
    values = {"kind": "point_folder", "data_dir": str(folder), "grid": (16,), "labels": None, "test_percent": 50.0}
    return Config(**values | {"max_bad": 0, "vertical": "z", "few_points": "repeat"} | BATCHES | changes)


def write(folder, contents):
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def cloud(seed, count=40):
    return "\n".join(" ".join(map(str, row)) for row in np.random.default_rng(seed).normal(size=(count, 3))).encode()


@pytest.fixture
def folder(tmp_path):
    names = {f"{split}/{label}/{i}.xyz": cloud(i) for split in ("train", "test") for label in "ab" for i in range(3)}
    return write(tmp_path, names | {"train/a/mesh.off": TETRAHEDRON, "test/b/mesh.OFF": TETRAHEDRON})


def mesh_of(source):
    """The index of the mesh in a split."""
    return next(i for i in range(len(source)) if source[i].name.endswith("mesh.off"))


def test_shapes_have_their_points_class_and_name(folder):
    source, train = PointFolder(config_of(folder)), PointFolder(config_of(folder)).load("train")
    shapes = {shape.name: (*shape.labels, len(shape.inputs["points"])) for shape in map(train.__getitem__, range(7))}
    assert shapes == {
        **{f"{folder}/train/a/{name}": (0, 40) for name in ("0.xyz", "1.xyz", "2.xyz")},
        f"{folder}/train/a/mesh.off": (0, 16 * DENSITY),
        **{f"{folder}/train/b/{name}": (1, 40) for name in ("0.xyz", "1.xyz", "2.xyz")},
    }
    (stream,), contents = source.streams(), source.contents()
    assert (stream.modality, stream.grid, stream.channels, contents.classes) == ("points", (16,), 0, ("a", "b"))
    assert contents.num_examples == {"train": 7, "test": 7}


def test_a_grid_of_two_axes_has_as_many_points_as_their_product(folder):
    source = PointFolder(config_of(folder, grid=(4, 5)))
    assert [stream.grid for stream in source.streams()] == [(4, 5)]
    train = source.load("train")
    assert len(train[mesh_of(train)].inputs["points"]) == 20 * DENSITY


def test_a_file_is_read_once_and_its_points_cannot_be_written_to(folder):
    source = PointFolder(config_of(folder)).load("train")
    points = source[0].inputs["points"]
    Path(source[0].name).unlink()
    assert PointFolder(config_of(folder)).load("train")[0].inputs["points"] is points
    with pytest.raises(ValueError, match="read-only"):
        points[0] = 0


def test_the_vertical_is_z_whatever_it_is_in_the_files(folder):
    for vertical, turned in (("z", [[0, 0, 0], [1, 0, 0], [1, 2, 5]]), ("y", [[0, 0, 0], [1, 0, 0], [1, -5, 2]])):
        write(folder, {"train/a/0.xyz": b"0 0 0\n1 0 0\n1 2 5\n"})
        class_folders.list_folder.cache_clear()
        source = PointFolder(config_of(folder, vertical=vertical, few_points="mask"))
        train = source.load("train")
        (cloud,) = [train[i].inputs["points"] for i in range(len(train)) if train[i].name.endswith("a/0.xyz")]
        assert cloud.tolist() == turned
        assert source.streams()[0].vertical == vertical


def test_a_worker_process_gets_the_same_source(folder):
    source = PointFolder(config_of(folder)).load("train")
    copy = pickle.loads(pickle.dumps(source))
    assert (copy[3].inputs["points"] == source[3].inputs["points"]).all()


def test_plain_class_folders_are_split_and_other_files_reported(tmp_path, capsys):
    write(tmp_path, {f"{label}/{i}.xyz": b"" for label in "ab" for i in range(30)} | {"a/picture.jpg": b""})
    sizes = PointFolder(config_of(tmp_path)).contents().num_examples
    assert sizes["train"] + sizes["test"] == 60
    assert min(sizes.values()) > 15
    assert capsys.readouterr().err == f"{tmp_path}: left out 1 .jpg\n"


def test_a_folder_without_shapes_is_refused(tmp_path):
    write(tmp_path, {"train/a/1.jpg": b"", "test/a/1.off": b""})
    with pytest.raises(Failure) as failure:
        PointFolder(config_of(tmp_path)).load("train")
    assert str(failure.value) == (
        f"error[3] class a holds 1 .jpg and no shapes: {tmp_path}/train/a\n  expected: {SHAPES.files}\n"
        f"  try: save them as {SHAPES.files}, or remove the folder"
    )


def test_the_streams_are_known_before_the_folder_is_there(tmp_path):
    (stream,) = PointFolder(config_of(tmp_path / "nowhere")).streams()
    assert (stream.name, stream.grid, stream.channels) == ("points", (16,), 0)


def test_contents_of_a_folder_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(Failure) as failure:
        PointFolder(config_of(tmp_path / "nowhere")).contents()
    message = f"data.data_dir is not a directory: {tmp_path}/nowhere"
    layout = "train/CLASS/*.ply with test/CLASS/*.ply, or CLASS/*.ply"
    assert str(failure.value) == f"error[3] {message}\n  expected: {layout}"


BAD = {
    "empty": (b"", "empty-file", "has no bytes"),
    "no points": (b"# nothing\n", "no-points", "has no points"),
    "nan": (b"1 2 3\n1 2 nan\n", "non-finite", "line 2: (1.0, 2.0, nan) is not finite"),
}


@pytest.mark.parametrize(("content", "code", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_file_ends_training_with_its_name_and_the_reason(content, code, sentence, folder):
    for path in folder.glob("train/*/*"):
        path.unlink()
    write(folder, {"train/a/1.xyz": content, "train/b/1.xyz": content})
    batches = pipeline.train_batches(data_of(config_of(folder), AUGMENT), 0, 0)
    with contextlib.closing(batches), pytest.raises(Failure) as failure:
        next(batches)
    assert (failure.value.code, failure.value.what, failure.value.found) == (Code.DATA, f"shape {code}", sentence)
    assert failure.value.where.startswith(f"{folder}/train/")


def test_the_identity_is_of_names_and_sizes(folder):
    first = PointFolder(config_of(folder)).identity()
    write(folder, {"train/a/0.xyz": cloud(0, 41)})
    assert PointFolder(config_of(folder)).identity() != first


def test_shapes_of_all_kinds_become_batches(folder):
    write(folder, {"train/b/few.xyz": b"0 0 0\n1 0 0\n0 1 0\n"})
    data = data_of(config_of(folder), AUGMENT)
    pipeline.check(data)
    for batch in take(pipeline.train_batches(data, 0, 0), 5):
        assert batch["inputs"]["points"].shape == (2, 16, 3)
        np.testing.assert_allclose(np.abs(batch["inputs"]["points"]).max(axis=(1, 2)), 1, rtol=1e-6)
    batches = take(pipeline.eval_batches(data, "test"))
    labels = [label for batch in batches for label in batch["labels"][batch["weights"] > 0].tolist()]
    assert sorted(labels) == [0, 0, 0, 1, 1, 1, 1]


def test_training_sees_other_points_of_a_mesh_each_time(folder):
    split = Split(data_of(config_of(folder), AUGMENT), "train")
    mesh = mesh_of(PointFolder(config_of(folder)).load("train"))
    first, second = (split.training(mesh, np.random.default_rng(seed)).features["points"] for seed in (0, 1))
    assert not np.isin(first, second).all()
    one, other = (split.evaluation(mesh, 0).features["points"] for _ in range(2))
    assert (one == other).all()
