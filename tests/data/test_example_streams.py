"""Examples of several streams, of inputs that may be missing, and looked at in several ways."""

import dataclasses

import numpy as np
import pytest

from perceiver_jax.data import class_folders, pipeline
from perceiver_jax.data.examples import Split
from perceiver_jax.data.sources import Example, digits, mnist5k_image_points, point_folder
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities.image.config import Affine
from perceiver_jax.modalities.image.config import NoAugment as PlainPictures
from perceiver_jax.modalities.points import PointCloud
from perceiver_jax.modalities.points.config import NoAugment as PlainClouds
from perceiver_jax.modalities.points.config import Points
from tests.data.test_image_folder import AUGMENT as CROPS
from tests.problems import BATCHES, data_of, flat, joined, problem_of, take, views_of

MOVED = Points(
    kind="points",
    subset="random",
    rotate_degrees=15.0,
    point_scale=0.01,
    jitter=0.01,
    extent=None,
    half_side=1.0,
    object_scale=0.1,
    object_translate=0.05,
)
WARPED = Affine(kind="affine", rotate_degrees=20.0, shear=0.2, scale=0.2, translate=0.2, flip_probability=0.5)
PLAIN = {"image": PlainPictures(kind="none"), "points": PlainClouds(kind="none", extent=None, half_side=1.0)}
DROPOUT = {"image": 0.3, "points": 0.2}
SEED = 5

# Inputs that may be missing


@pytest.fixture
def clouds(tmp_path):
    """Clouds of 5, 16 and 40 points, whose stream has room for 16."""
    class_folders.list_folder.cache_clear()
    point_folder.read_shape.cache_clear()
    for split in ("train", "test"):
        for count in (5, 16, 40):
            path = tmp_path / split / "ab"[count % 2] / f"{count}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.random.default_rng(count).normal(size=(count, 3)))
    values = {"kind": "point_folder", "data_dir": str(tmp_path), "grid": (16,), "labels": None, "test_percent": 50.0}
    return point_folder.Config(**values, vertical="z", few_points="mask", max_bad=0, **BATCHES | {"eval_batch_size": 4})


def by_count(data):
    """The inputs and masks of each evaluated example, by how many points its file has; of the padding by 0."""
    (batch,) = take(pipeline.eval_batches(data, "test"))
    files, found = data.source.load("test"), {}
    for i in range(4):
        count = int(files.file(i).partition(".")[0].split("/")[-1]) if i < 3 else 0
        found[count] = batch["inputs"]["points"][i], batch["masks"]["points"][i]
    return found


def test_a_cloud_of_few_points_has_that_many_in_its_mask_and_zeros_behind(clouds):
    inputs, mask = by_count(data_of(clouds, PLAIN["points"]))[5]
    assert (mask.dtype, mask.tolist()) == (np.bool_, [True] * 5 + [False] * 11)
    assert inputs[:5].any(axis=1).all()
    assert not inputs[5:].any()


@pytest.mark.parametrize("count", [16, 40])
def test_a_cloud_of_enough_points_has_all_in_its_mask(clouds, count):
    inputs, mask = by_count(data_of(clouds, PLAIN["points"]))[count]
    assert mask.all()
    assert inputs.any(axis=1).all()


def test_the_padding_of_a_batch_has_none_in_its_mask(clouds):
    inputs, mask = by_count(data_of(clouds, PLAIN["points"]))[0]
    assert not mask.any()
    assert not inputs.any()


def test_training_has_the_same_masks(clouds):
    data = data_of(clouds, MOVED)
    counts = [int(name.partition(".")[0]) for name in ("5.npy", "16.npy", "40.npy")]
    batches = take(pipeline.train_batches(data, SEED, 0), 3)  # two epochs
    found = [mask.sum() for batch in batches for mask in batch["masks"]["points"]]
    assert sorted(found) == sorted(2 * [min(count, 16) for count in counts])
    for batch in batches:
        inputs, masks = batch["inputs"]["points"], batch["masks"]["points"]
        np.testing.assert_array_equal(inputs.any(axis=-1), masks)


def test_a_cloud_that_repeats_has_no_mask(clouds):
    repeating = clouds.model_copy(update={"few_points": "repeat"})
    (batch,) = take(pipeline.eval_batches(data_of(repeating, PLAIN["points"]), "test"))
    assert batch["masks"] == {}
    assert batch["inputs"]["points"][:3].any(axis=-1).all()


def test_a_run_whose_clouds_are_full_has_no_mask_and_the_same_inputs(clouds):
    files = {split: f"{split}/b/5.npy" for split in ("train", "test")}
    full, masked = (data_of(clouds, MOVED, files.values(), streams) for streams in ((), None))
    (batch,), (other,) = (take(pipeline.train_batches(data, SEED, 0), 1) for data in (full, masked))
    assert batch["masks"] == {}
    assert other["masks"]["points"].all()
    np.testing.assert_array_equal(batch["inputs"]["points"], other["inputs"]["points"])


def test_a_cloud_that_has_become_too_small_for_such_a_run_is_refused(clouds):
    with pytest.raises(Failure) as failure:
        take(pipeline.eval_batches(data_of(clouds, PLAIN["points"], masked=()), "test"))
    assert failure.value.code == Code.DATA
    message = "an example has fewer inputs in stream points"
    assert str(failure.value) == f"error[3] {message}\n  found: 5 inputs\n  expected: 16, as when the run began"


def test_masks_are_of_grids_of_one_axis(clouds):
    with pytest.raises(ValueError, match=r'data\.few_points "mask": expected data\.grid of one axis'):
        point_folder.Config(**clouds.model_dump() | {"grid": (4, 4)})


# Several streams


def pairs(augment=None, dropout=None, dropped="zeroed", **changes):
    """Digits as pictures and as clouds."""
    config = mnist5k_image_points.Config(kind="mnist5k_image_points", grid=(32,), **BATCHES | changes)
    return data_of(config, augment or PLAIN, views=views_of(dropped=dropped, **dropout or {}))


def test_an_example_has_all_its_streams():
    data = pairs(batch_size=4)
    (batch,) = take(pipeline.train_batches(data, SEED, 7), 1)
    assert {name: array.shape for name, array in flat(batch).items()} == {
        "inputs/image": (4, 28, 28, 1),
        "inputs/points": (4, 32, 3),
        "labels": (4,),
    }
    train = data.source.load("train")
    for row, i in enumerate(pipeline.example_ids(data, SEED, 7).tolist()):
        for stream, modality in data.modalities.items():
            expected = modality.normalize(np.float32(modality.evaluation(train[i].inputs[stream], 0)))
            np.testing.assert_array_equal(batch["inputs"][stream][row], expected)
        assert (batch["labels"][row],) == train[i].labels


def test_chance_in_one_stream_is_none_in_another():
    both, *single = (
        take(pipeline.train_batches(pairs(augment), SEED, 0), 2)
        for augment in ({"image": WARPED, "points": MOVED}, PLAIN | {"image": WARPED}, PLAIN | {"points": MOVED})
    )
    for stream, alone in zip(("image", "points"), single, strict=True):
        for batch, other in zip(both, alone, strict=True):
            np.testing.assert_array_equal(batch["inputs"][stream], other["inputs"][stream])


def test_a_stream_that_an_example_lacks_is_named(monkeypatch):
    monkeypatch.setattr(mnist5k_image_points.Pairs, "__getitem__", lambda self, index: Example({"image": None}, (0,)))
    with pytest.raises(Failure) as failure:
        Split(pairs(), "train").read(3, 0.0)
    message = "example 3 of split train: stream points is missing"
    assert str(failure.value) == f"error[3] {message}\n  found: image"


def test_labels_are_numbers_among_the_classes_of_the_run():
    problem = problem_of(digits.Config(kind="digits", **BATCHES), PLAIN["image"])
    data = dataclasses.replace(problem, classes=(*reversed(problem.classes), "another")).data
    train = data.source.load("train")
    (batch,) = take(pipeline.train_batches(data, SEED, 0), 1)
    ids = pipeline.example_ids(data, SEED, 0).tolist()
    assert batch["labels"].tolist() == [9 - label for i in ids for label in train[i].labels]


# Streams that are dropped


def test_training_drops_at_most_one_stream_each_with_its_probability():
    split = Split(pairs(dropout=DROPOUT), "train")
    dropped = [tuple(split.training(i, np.random.default_rng((SEED, 0, i))).dropped) for i in range(2000)]
    assert set(dropped) == {(), ("image",), ("points",)}
    for stream, probability in DROPOUT.items():
        deviation = np.sqrt(2000 * probability * (1 - probability))
        assert abs(dropped.count((stream,)) - 2000 * probability) < 3 * deviation


@pytest.mark.parametrize("always", ["image", "points"])
def test_probabilities_that_sum_to_one_leave_every_example_one_stream(always):
    share = {"image": 0.5, "points": 0.5} | {always: 0.75} | {"points" if always == "image" else "image": 0.25}
    (batch,) = take(pipeline.train_batches(pairs(dropout=share, batch_size=64), SEED, 0), 1)
    there = {stream: array.reshape(64, -1).any(axis=1) for stream, array in batch["inputs"].items()}
    np.testing.assert_array_equal(there["image"], ~there["points"])


def test_what_is_dropped_is_a_function_of_seed_step_and_slot():
    data = pairs({"image": WARPED, "points": MOVED}, DROPOUT, batch_size=16)
    split = Split(data, "train")
    for step, batch in zip((3, 4), take(pipeline.train_batches(data, SEED, 3), 2), strict=True):
        for slot, i in enumerate(pipeline.example_ids(data, SEED, step).tolist()):
            item = split.training(i, np.random.default_rng((SEED, step, slot)))
            zero = {stream for stream, array in batch["inputs"].items() if not array[slot].any()}
            assert zero == set(item.dropped)


def test_dropping_streams_changes_nothing_else():
    augment = {"image": WARPED, "points": MOVED}
    (batch,), (whole,) = (
        take(pipeline.train_batches(pairs(augment, dropout, batch_size=32), SEED, 0), 1) for dropout in (DROPOUT, {})
    )
    for stream in augment:
        there = batch["inputs"][stream].reshape(32, -1).any(axis=1)
        assert 0 < there.sum() < 32
        np.testing.assert_array_equal(batch["inputs"][stream][there], whole["inputs"][stream][there])
    np.testing.assert_array_equal(batch["labels"], whole["labels"])


def test_the_only_stream_that_an_example_has_is_not_dropped(monkeypatch):
    monkeypatch.setattr(PointCloud, "read", lambda self, given, name, moment=0.0: None)
    config = mnist5k_image_points.Config(kind="mnist5k_image_points", grid=(32,), **BATCHES | {"batch_size": 32})
    data = data_of(config, PLAIN, masked=("points",), views=views_of(image=0.7, points=0.2))
    (batch,) = take(pipeline.train_batches(data, SEED, 0), 1)
    assert batch["inputs"]["image"].reshape(32, -1).any(axis=1).all()
    assert not batch["masks"]["points"].any()


def test_evaluation_drops_nothing_of_itself():
    data = pairs(dropout=DROPOUT, eval_batch_size=500)
    whole = joined(take(pipeline.eval_batches(data, "test")))
    for stream in DROPOUT:
        assert whole[f"inputs/{stream}"].reshape(1000, -1).any(axis=1).all()


@pytest.mark.parametrize("dropped", ["image", "points"])
def test_evaluation_without_a_stream_has_zeros_in_its_place_and_the_others_as_they_are(dropped):
    data = pairs(eval_batch_size=50)
    without, whole = (flat(take(pipeline.eval_batches(data, "test", streams), 1)[0]) for streams in ([dropped], []))
    assert not without[f"inputs/{dropped}"].any()
    for name in whole.keys() - {f"inputs/{dropped}"}:
        np.testing.assert_array_equal(without[name], whole[name])


def test_training_masks_what_is_dropped_where_the_config_says_so():
    moved = {"image": WARPED, "points": MOVED}
    masked, zeroed = (
        take(pipeline.train_batches(pairs(moved, DROPOUT, dropped, batch_size=64), SEED, 3), 1)[0]
        for dropped in ("masked", "zeroed")
    )
    assert zeroed["masks"] == {}
    for stream, inputs in zeroed["inputs"].items():
        there = inputs.reshape(64, -1).any(axis=1)
        assert 0 < there.sum() < 64
        np.testing.assert_array_equal(masked["inputs"][stream], inputs)
        np.testing.assert_array_equal(masked["masks"][stream], np.repeat(there[:, None], inputs[0, ..., 0].size, axis=1))


@pytest.mark.parametrize("dropped", ["image", "points"])
def test_evaluation_masks_the_stream_that_it_leaves_out_by_the_same_rule(dropped):
    data = pairs(dropped="masked", eval_batch_size=600)
    *_, batch = take(pipeline.eval_batches(data, "test", [dropped]))
    assert set(batch["masks"]) == {"image", "points"}
    for stream, mask in batch["masks"].items():
        assert mask[:400].all() == (stream != dropped)
        assert mask[:400].any() == (stream != dropped)
        assert not mask[400:].any()  # the padding
    assert not batch["inputs"][dropped].any()


def test_a_stream_alone_has_no_mask_for_being_dropped():
    data = data_of(digits.Config(kind="digits", **BATCHES), PLAIN["image"], views=views_of(dropped="masked"))
    assert data.masked == ()


# Views


def test_each_batch_comes_once_for_every_view():
    config = digits.Config(kind="digits", **BATCHES | {"eval_batch_size": 300})
    data = data_of(config, CROPS, views=views_of(4))
    batches = take(pipeline.eval_batches(data, "test"))
    assert len(batches) == 2 * 4
    assert pipeline.num_eval_batches(data, "test") == 2
    test, modality = data.source.load("test"), data.modalities["image"]
    for place, batch in enumerate(batches):
        number, view = divmod(place, 4)
        expected = modality.normalize(modality.evaluation(test[300 * number + 5].inputs["image"], view))
        np.testing.assert_array_equal(batch["inputs"]["image"][5], expected)
        assert (batch["labels"][5],) == test[300 * number + 5].labels
        assert batch["weights"].sum() == (300, 150)[number]


def test_all_streams_of_an_example_are_in_the_same_view():
    crops = PLAIN | {"image": CROPS}
    config = mnist5k_image_points.Config(kind="mnist5k_image_points", grid=(32,), **BATCHES)
    data = data_of(config, crops, views=views_of(2))
    _, second = take(pipeline.eval_batches(data, "test"), 2)
    example = data.source.load("test")[0]
    for stream, modality in data.modalities.items():
        expected = modality.normalize(modality.evaluation(example.inputs[stream], 1))
        np.testing.assert_array_equal(second["inputs"][stream][0], expected)


@pytest.mark.parametrize(
    ("augment", "count", "most"), [(PLAIN["image"], 2, "image has 1"), (CROPS, 11, "image has 10")], ids=["plain", "crops"]
)
def test_more_views_than_there_are_are_refused(augment, count, most):
    with pytest.raises(ValueError, match=f"views.num_evaluation {count}: stream {most}"):
        data_of(digits.Config(kind="digits", **BATCHES), augment, views=views_of(count))


@pytest.mark.parametrize(
    ("dropout", "why"),
    [({"image": 0.7, "points": 0.7}, "together at most 1"), ({"sound": 0.1}, "the data have image, points")],
    ids=["sum", "unknown"],
)
def test_dropout_that_makes_no_sense_is_refused(dropout, why):
    with pytest.raises(ValueError, match=why):
        pairs(dropout=dropout)


def test_the_only_stream_cannot_be_dropped():
    with pytest.raises(ValueError, match="for some of several streams"):
        data_of(digits.Config(kind="digits", **BATCHES), PLAIN["image"], views=views_of(image=0.1))


def test_an_example_can_be_looked_at_by_its_number(clouds):
    data = data_of(clouds, PLAIN["points"])
    (batch,) = take(pipeline.eval_batches(data, "test"))
    inputs, masks = data.example("test", 1)
    np.testing.assert_array_equal(inputs["points"][0], batch["inputs"]["points"][1])
    np.testing.assert_array_equal(masks["points"][0], batch["masks"]["points"][1])


def test_an_example_that_is_not_there_is_refused_with_those_that_are(clouds):
    with pytest.raises(Failure) as failure:
        data_of(clouds, PLAIN["points"]).example("test", 3)
    assert failure.value.code == Code.CONFIG
    assert str(failure.value) == "error[2] split test has no example 3\n  expected: 0 to 2"
