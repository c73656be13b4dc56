"""What every data source, modality and task has to hold: the same questions to each that is found in its room.

A new data source adds to `SOURCES` how to make a small one, a new modality its inputs to `RAW` and settings to `SETTINGS`, a
new task settings to `SETTINGS_OF_TASKS`.
"""

import itertools
import pickle
import random
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter

from perceiver_jax import modalities, tasks
from perceiver_jax.data import class_folders, sources
from perceiver_jax.data.config import DirectoryConfig
from perceiver_jax.errors import Code, Failure
from perceiver_jax.members import kinds, member
from perceiver_jax.readers.recordings import Recording
from perceiver_jax.section import Section
from perceiver_jax.tasks import Evaluation
from tests.data import test_audioset, test_fashion_mnist, test_imagenet2012, test_modelnet40
from tests.data.preparation.archives import photograph
from tests.problems import BATCHES
from tests.recordings import write_film

ROOMS = {"data.kind": sources, "modality": modalities, "task.kind": tasks}


def of_kinds(room):
    """A test for each member of a room."""
    return pytest.mark.parametrize("kind", kinds(room))


def check_config(config, kind):
    assert issubclass(config, Section)
    assert get_args(config.model_fields["kind"].annotation) == (kind,)


@pytest.mark.parametrize(("field", "kind"), [(field, kind) for field, room in ROOMS.items() for kind in kinds(room)])
def test_a_member_is_found_by_its_name(field, kind):
    assert isinstance(member(ROOMS[field], kind, field), type)


@pytest.mark.parametrize(("field", "room"), ROOMS.items(), ids=ROOMS)
def test_a_member_that_is_not_there_is_refused_with_those_that_are_the_nearest_first(field, room):
    last = kinds(room)[-1]
    with pytest.raises(Failure) as failure:
        member(room, last + "x", field)
    assert failure.value.code == Code.CONFIG
    assert failure.value.what == f"{field}: unknown value {last + 'x'!r}"
    names = failure.value.expected.removeprefix("one of ").split(", ")
    assert names[0] == last
    assert sorted(names) == kinds(room)


# Data sources


def in_folders(save):
    """Writes a user's data set: four files of two classes in each split."""

    def write(folder):
        for split, i in itertools.product(("train", "test"), range(4)):
            parent = folder / split / "ab"[i % 2]
            parent.mkdir(parents=True, exist_ok=True)
            save(parent, i)
        return folder

    return write


def save_picture(parent, i):
    photograph(i).save(parent / f"{i}.png")


def save_cloud(parent, i):
    np.save(parent / f"{i}.npy", np.random.default_rng(i).normal(size=(8 * i + 4, 3)))


def save_film(parent, i):
    write_film(parent / f"{i}.mkv", seconds=0.3, seed=i)


def own(name, save):
    """Makes a folder of a user's files once."""
    return lambda once: once(name, in_folders(save))


def clothes(once):
    def write(folder):
        folder.mkdir()
        test_fashion_mnist.write(folder)

    return once("clothes", write)


RAW_SOUND = {"kind": "raw", "sample_rate": 8000, "num_pieces": 16, "samples_per_piece": 80}
FILM = {"frame_rate": 25.0, "num_frames": 4, "size": (16, 24), "patch": (2, 8, 8), "read_side": 20, "values": (-1.0, 1.0)}
MEL_SOUND = {"kind": "mel", "sample_rate": 16_000, "num_frames": 4, "window": 512, "hop": 400, "num_bands": 8}
MEL_SOUND |= {"band_edges": (100.0, 2000.0), "offset": 0.001, "mean": 0.0, "std": 1.0, "positions": "time_frequency"}
PEOPLES = {"labels": None, "test_percent": 50.0, "max_bad": 0}
SHORT_FILM = FILM | {"num_frames": 2, "frame_rate": 20.0}
# Of each kind what makes its folder, if it has one, and its settings.
SOURCES = {
    "audioset": (test_audioset.prepare_once, {"subset": "balanced", "audio": RAW_SOUND, "video": FILM}),
    "digits": (None, {}),
    "fashion_mnist": (clothes, {}),
    "image_folder": (own("pictures", save_picture), {"image_size": (12, 16)} | PEOPLES),
    "imagenet2012": (test_imagenet2012.prepare_once, {"image_size": 16}),
    "mnist5k": (None, {}),
    "mnist5k_image_points": (None, {"grid": (32,)}),
    "mnist5k_points": (None, {"grid": (4, 8)}),
    "modelnet40": (test_modelnet40.prepare_once, {"grid": (32,)}),
    "notes": (None, {"audio": MEL_SOUND, "video": None}),
    "notes_and_digits": (None, {"sound_noise": 1.0, "film_noise": 0.1, "audio": MEL_SOUND, "video": SHORT_FILM}),
    "point_folder": (own("shapes", save_cloud), {"grid": (16,), "vertical": "y", "few_points": "mask"} | PEOPLES),
    "recording_folder": (own("films", save_film), {"audio": RAW_SOUND, "video": FILM} | PEOPLES),
}


@pytest.fixture
def config(kind, once):
    """The settings of a small data set of a kind."""
    make, settings = SOURCES[kind]
    where = {"data_dir": str(make(once))} if make else {}
    return member(sources, kind, "data.kind").Config(kind=kind, **where, **settings, **BATCHES)


@pytest.fixture
def source(kind, config):
    class_folders.list_folder.cache_clear()
    return member(sources, kind, "data.kind")(config)


def values(example):
    """What can be compared of an example."""
    return {name: comparable(one) for name, one in example.inputs.items()}, example.labels, example.name


def comparable(raw):
    """Bytes, or the values of an array, or the sound and the frames of a recording."""
    if isinstance(raw, np.ndarray):
        return raw.dtype.str, raw.tolist()
    if isinstance(raw, bytes):
        return raw
    streams = raw.sound(0.0, 0.1, 8000), raw.frames(0.0, 3, 25.0, None)
    return [None if one is None else one.tolist() for one in streams]


@of_kinds(sources)
def test_a_source_is_one(source):
    assert isinstance(source, sources.Source)


@of_kinds(sources)
def test_the_settings_of_a_source_are_those_of_its_kind(source, kind):
    check_config(source.Config, kind)


@of_kinds(sources)
def test_a_source_has_streams_of_different_names_and_known_modalities(source):
    names = [stream.name for stream in source.streams()]
    assert len(names) == len(set(names)) > 0
    for stream in source.streams():
        assert isinstance(stream, member(modalities, stream.modality, "modality").Stream)


@of_kinds(sources)
def test_the_streams_are_known_without_the_data(kind, config, source, tmp_path):
    nowhere = config
    if isinstance(config, DirectoryConfig):
        nowhere = config.model_copy(update={"data_dir": str(tmp_path / "nowhere")})
    assert member(sources, kind, "data.kind")(nowhere).streams() == source.streams()


@of_kinds(sources)
def test_a_source_has_classes_of_different_names_and_two_splits(source):
    contents = source.contents()
    assert len(set(contents.classes)) == len(contents.classes) > 1
    assert contents.num_examples.keys() == {"train", "test"}


@of_kinds(sources)
def test_the_identity_is_the_same_every_time(kind, config, source):
    assert source.identity() == member(sources, kind, "data.kind")(config).identity()


@of_kinds(sources)
def test_the_examples_of_a_source_have_its_streams_and_classes(source):
    names, classes = {stream.name for stream in source.streams()}, range(len(source.contents().classes))
    for split in ("train", "test"):
        examples = source.load(split)
        assert isinstance(examples, sources.Examples)
        for i in (0, len(examples) - 1):
            assert examples[i].inputs.keys() == names
            assert set(examples[i].labels) <= set(classes)
            assert examples.labels(i) == examples[i].labels


@of_kinds(sources)
def test_two_reads_of_an_example_agree_in_any_order(source):
    examples, others = source.load("train"), source.load("train")
    first = [values(examples[i]) for i in (0, 3, 1)]
    assert [values(others[i]) for i in (1, 3, 0)] == first[::-1]


@of_kinds(sources)
def test_examples_can_be_pickled_for_worker_processes(source):
    examples = source.load("test")
    copy = pickle.loads(pickle.dumps(examples))
    assert len(copy) == len(examples)
    assert [values(copy[i]) for i in (0, 3)] == [values(examples[i]) for i in (0, 3)]


@of_kinds(sources)
def test_the_modality_of_each_stream_takes_its_examples(source):
    example = source.load("train")[2]
    for stream in source.streams():
        *_, augment = AUGMENTS[stream.modality].values()  # the one for inputs of any size
        made = member(modalities, stream.modality, "modality")(stream, augment)
        features = made.evaluation(made.read(example.inputs[stream.name], "an example", 0.5), 0)
        check_features(made, features)


# Modalities

CROPS = {
    "kind": "inception",
    "crop": {"area": (0.3, 1.0), "aspect": (0.75, 1.25), "min_object_covered": 0.0, "attempts": 10},
    "flip_probability": 0.5,
    "randaugment": {"num_layers": 2, "magnitude": 5.0, "fill": 128, "unit": "sides", "cutout": 0.1, "translate": 0.3},
    "evaluation_crop": 0.875,
    "position_frame": "crop",
    "mix": {"kind": "none"},
}
MASKS = {"kind": "spec_augment", "frequency_masks": 1, "frequency_mask": 4, "time_masks": 2, "time_mask": 3}
COLOUR = {"probability": 0.8, "brightness": 0.1, "contrast": 0.4, "saturation": 0.4, "hue": 0.2}
MOVES = dict.fromkeys(("rotate_degrees", "point_scale", "jitter", "object_scale", "object_translate"), 0.25)
SETTINGS = {
    "image": {
        "none": {"kind": "none"},
        "affine": {"kind": "affine", "flip_probability": 0.5, "rotate_degrees": 20.0, "shear": 0.2}
        | {"scale": 0.2, "translate": 0.2},
        "placed": CROPS | {"position_frame": "image"},
        "mixed": CROPS | {"mix": {"kind": "mixup_cutmix", "mixup_alpha": 0.2, "cutmix_alpha": 1.0}},
        "crops": CROPS,
    },
    "mel_audio": {
        "none": {"kind": "none"},
        "spec_augment": MASKS | {"mixup_alpha": None},
        "mixed": MASKS | {"mixup_alpha": 0.5},
    },
    "raw_audio": {
        "none": {"kind": "none"},
        "gain": {"kind": "gain", "decibels": 6.0, "mixup_alpha": None},
        "mixed": {"kind": "gain", "decibels": 6.0, "mixup_alpha": 0.5},
    },
    "video": {
        "none": {"kind": "none", "evaluation_crop": 0.875},
        "film": {"kind": "film", "colour": COLOUR}
        | {name: CROPS[name] for name in ("crop", "flip_probability", "evaluation_crop")},
    },
    "points": {
        "none": {"kind": "none", "extent": None, "half_side": 1.0},
        "points": {"kind": "points", "subset": "random", "extent": None, "half_side": 1.0} | MOVES,
    },
}
AUGMENTS = {
    kind: {
        name: TypeAdapter(member(modalities, kind, "modality").Augment).validate_python(given)
        for name, given in each.items()
    }
    for kind, each in SETTINGS.items()
}
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
CLOUD = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
IMAGE = {"channels": 3, "masked": False, "upright": True, "mean": (100.0, 110.0, 120.0), "std": (50.0, 60.0, 70.0)}
AS_LISTED = {"well_spread": False, "vertical": "z"}
SOUND = np.random.default_rng(0).normal(size=630).astype(np.float32)
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), dtype=np.uint8)
MEL = {"sample_rate": 8000, "window": 256, "hop": 128, "num_bands": 8, "band_edges": (80.0, 3800.0), "offset": 1e-6}
MEL |= {"channels": 1, "masked": True, "mean": -4.0, "std": 4.0}
PATCHES = {"masked": True, "frame_rate": 25.0, "patch": (2, 4, 4), "channels": 96, "read_side": 20, "values": (-1.0, 1.0)}
# Of each kind raw inputs, and streams that take them, by name.
RAW = {
    "mel_audio": (
        np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32),
        {"grid": {"grid": (6, 8)} | MEL, "row": {"grid": (48,)} | MEL},
    ),
    "raw_audio": (SOUND, {"pieces": {"grid": (8,), "channels": 80, "masked": True, "sample_rate": 8000}}),
    "video": (FRAMES, {"patches": {"grid": (4, 3, 4)} | PATCHES}),
    "image": (PIXELS, {"same size": {"grid": (12, 16)} | IMAGE}),
    "points": (
        CLOUD,
        {
            "row": {"grid": (16,), "channels": 0, "masked": False} | AS_LISTED,
            "square": {"grid": (4, 4), "channels": 0, "masked": False} | AS_LISTED,
            "masked": {"grid": (64,), "channels": 0, "masked": True} | AS_LISTED,
        },
    ),
}


def cases():
    """Every kind of modality with every stream and every augmentation of it."""
    for kind in kinds(modalities):
        made = member(modalities, kind, "modality")
        for (name, stream), (augment, settings) in itertools.product(RAW[kind][1].items(), AUGMENTS[kind].items()):
            whole = made(made.Stream(name="a", modality=kind, **stream), settings)
            yield pytest.param(whole, RAW[kind][0], id=f"{kind}-{name}-{augment}")


every_modality = pytest.mark.parametrize(("modality", "raw"), list(cases()))


def check_features(modality, features):
    grid, channels = modality.stream.grid, modality.stream.channels + modality.num_coordinates
    if modality.stream.masked:
        assert len(features) <= np.prod(grid)
        grid = (len(features),)
    assert features.shape == (*grid, channels)
    assert features.dtype in (np.uint8, np.float32)


def train(modality, raw, seed):
    return modality.training(raw.copy(), np.random.default_rng(seed))


@every_modality
def test_a_modality_is_one(modality, raw):
    assert isinstance(modality, modalities.Modality)


@of_kinds(modalities)
def test_the_streams_of_a_modality_are_of_its_kind(kind):
    stream = member(modalities, kind, "modality").Stream
    assert issubclass(stream, modalities.Stream)
    assert get_args(stream.model_fields["modality"].annotation) == (kind,)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, each in AUGMENTS.items() for name in each])
def test_the_settings_of_a_modality_are_a_section_with_a_kind(kind, name):
    check_config(type(AUGMENTS[kind][name]), SETTINGS[kind][name]["kind"])


@pytest.mark.parametrize(("modality", "raw"), [case for case in cases() if case.values[0].seconds is None])
def test_what_is_read_already_stays_as_it_is(modality, raw):
    assert modality.read(raw, "an example", 0.5) is raw


class Recorded(Recording):
    """A recording of 2 s whose sound counts its samples and whose frames count themselves; absent where asked for."""

    seconds = 2.0

    def __init__(self, absent=False):
        self.absent = absent

    def sound(self, start, seconds, rate):
        times = round(start * rate) + np.arange(round(seconds * rate))
        return None if self.absent else times[times < 2 * rate].astype(np.float32)

    def frames(self, start, count, rate, shorter_side):
        numbers = round(start * rate) + np.arange(count)
        pictures = numbers[numbers < 2 * rate, None, None, None].astype(np.uint8)
        return None if self.absent else np.tile(pictures, (1, 20, 30, 3))


timed = pytest.mark.parametrize("modality", [pytest.param(c.values[0], id=c.id) for c in cases() if c.values[0].seconds])


@timed
def test_a_part_of_a_recording_is_where_the_moment_says(modality):
    read = {moment: modality.read(Recorded(), "a", moment) for moment in (0.0, 0.25, 1.0)}
    assert len({raw.tobytes() for raw in read.values()}) == 3
    assert len({raw.shape for raw in read.values()}) == 1
    assert len(modality.evaluation(read[1.0], 0)) == np.prod(modality.stream.grid)


@timed
def test_a_stream_that_a_recording_lacks_is_absent(modality):
    assert modality.read(Recorded(absent=True), "a", 0.5) is None


@every_modality
def test_features_have_the_shape_that_is_promised(modality, raw):
    check_features(modality, train(modality, raw, 0))
    check_features(modality, modality.evaluation(raw, 0))


@every_modality
def test_training_is_a_function_of_the_given_generator_alone(modality, raw):
    found = []
    for poison in (1, 2):
        random.seed(poison)
        np.random.seed(poison)
        found.append(train(modality, raw, 7))
    np.testing.assert_array_equal(*found)


@every_modality
def test_training_changes_with_the_generator_if_with_anything(modality, raw):
    found = {train(modality, raw, seed).tobytes() for seed in range(10)}
    assert (len(found) > 1) == (modality.augment.kind != "none")


@every_modality
def test_every_view_is_the_same_every_time(modality, raw):
    for view in range(modality.max_views or 3):
        np.testing.assert_array_equal(modality.evaluation(raw, view), modality.evaluation(raw.copy(), view))


@every_modality
def test_raw_inputs_are_not_changed(modality, raw):
    given = raw.copy()
    given.flags.writeable = False
    modality.training(given, np.random.default_rng(0))
    modality.evaluation(given, 0)
    np.testing.assert_array_equal(given, raw)


@every_modality
def test_normalising_keeps_the_shape_and_gives_float32(modality, raw):
    features = np.stack([train(modality, raw, seed) for seed in (0, 1)])
    made = modality.normalize(features)
    assert (made.shape, made.dtype) == (features.shape, np.float32)


@every_modality
def test_a_batch_is_normalised_example_by_example(modality, raw):
    features = np.stack([train(modality, raw, seed) for seed in (0, 1)])
    np.testing.assert_array_equal(modality.normalize(features)[1:], modality.normalize(features[1:]))


@every_modality
def test_a_copy_in_a_worker_process_does_the_same(modality, raw):
    copy = pickle.loads(pickle.dumps(modality))
    np.testing.assert_array_equal(train(copy, raw, 3), train(modality, raw, 3))
    np.testing.assert_array_equal(copy.evaluation(raw, 0), modality.evaluation(raw, 0))


@every_modality
def test_an_example_is_shown_as_a_square_picture_and_another_one_otherwise(modality, raw):
    inputs = modality.normalize(modality.evaluation(raw, 0))
    shown = modality.shown(inputs, 60)
    assert (shown.shape, shown.dtype) == ((60, 60, 3), np.uint8)
    assert len(np.unique(shown)) > 2
    assert (modality.shown(inputs[::-1] * 0.5 * np.linspace(0, 1, inputs.shape[-1], dtype=np.float32), 60) != shown).any()


@every_modality
def test_a_modality_names_the_suffixes_of_its_files(modality, raw):
    assert modality.suffixes
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in modality.suffixes)


@pytest.mark.parametrize(("modality", "raw"), [case for case in cases() if case.values[0].mixes])
def test_two_examples_in_one_have_the_shape_of_one_and_a_portion(modality, raw):
    first, second = train(modality, raw, 0), train(modality, raw, 1)
    for slot in range(4):
        made, portion = modality.mixed(first, second, slot, np.random.default_rng(slot))
        assert (made.shape, made.dtype) == (first.shape, first.dtype)
        assert 0 <= portion <= 1


# Tasks

CLASSES = ("ant", "bee", "cat", "dog", "emu", "fox", "gnu")
SETTINGS_OF_TASKS = {"single_label": {"label_smoothing": 0.1}, "multi_label": {}}
SIZE = 12


@pytest.fixture
def task(kind):
    made = member(tasks, kind, "task.kind")
    return made(made.Config(kind=kind, **SETTINGS_OF_TASKS[kind]), CLASSES)


@pytest.fixture
def logits(task):
    return jnp.asarray(np.random.default_rng(0).normal(size=(SIZE, task.num_outputs)) * 3, jnp.float32)


@pytest.fixture
def labels(task):
    return jnp.asarray(np.stack([task.encode((i % len(CLASSES),), f"{i}") for i in range(SIZE)]))


@of_kinds(tasks)
def test_a_task_is_one(task):
    assert isinstance(task, tasks.Task)


@of_kinds(tasks)
def test_the_settings_of_a_task_are_those_of_its_kind(task, kind):
    check_config(task.Config, kind)


@of_kinds(tasks)
def test_the_label_of_padding_is_as_any_other(task):
    encoded, blank = task.encode((3,), "an example"), task.blank()
    assert (blank.shape, blank.dtype) == (encoded.shape, encoded.dtype)


@of_kinds(tasks)
def test_a_label_is_named_by_its_classes(task):
    assert [task.decode(task.encode((i,), "an example")) for i in (3, 0)] == [("dog",), ("ant",)]


@of_kinds(tasks)
def test_a_label_that_is_not_a_class_is_refused_by_name(task):
    with pytest.raises(Failure, match="an example: label 7") as failure:
        task.encode((7,), "an example")
    assert failure.value.code == Code.DATA


@of_kinds(tasks)
def test_each_example_has_a_finite_loss_that_can_be_lowered(task, logits, labels):
    losses = task.losses(logits, labels)
    assert losses.shape == (SIZE,)
    assert np.isfinite(losses).all()
    downhill = logits - 0.1 * jax.grad(lambda x: task.losses(x, labels).sum())(logits)
    assert (task.losses(downhill, labels) < losses).all()


def takes_portions(kind):
    made = member(tasks, kind, "task.kind")
    blank = made(made.Config(kind=kind, **SETTINGS_OF_TASKS[kind]), CLASSES).blank()
    return np.issubdtype(blank.dtype, np.floating)


@pytest.mark.parametrize("kind", [kind for kind in kinds(tasks) if takes_portions(kind)])
def test_the_loss_is_linear_in_the_target(task, logits, labels):
    """Where a label can be a mixture; test_single_label.py has it for labels that are numbers of classes."""
    others, portions = jnp.roll(labels, 1, axis=0), jnp.linspace(0, 1, SIZE)
    weighed = portions * task.losses(logits, labels) + (1 - portions) * task.losses(logits, others)
    mixture = portions[:, None] * labels + (1 - portions)[:, None] * others
    np.testing.assert_allclose(task.losses(logits, mixture), weighed, rtol=1e-5)


@of_kinds(tasks)
def test_training_logs_the_mean_of_its_losses(task, logits, labels):
    losses = task.losses(logits, labels)
    sums = task.training_sums(logits, labels, losses)
    assert tasks.means(sums)["loss"] == pytest.approx(float(losses.mean()), rel=1e-6)
    assert float(sums["weight"]) == SIZE


@of_kinds(tasks)
def test_what_a_split_is_worth_has_its_loss_and_its_headline(task, logits, labels):
    numbers = task.finish(task.evaluation(logits, labels, jnp.ones(SIZE)))
    assert {"loss", task.headline} <= numbers.keys()
    assert all(type(number) is float for number in numbers.values())
    assert 0 <= numbers[task.headline] <= 1


@of_kinds(tasks)
def test_padding_changes_nothing_whatever_it_holds(task, logits, labels):
    plain = task.finish(task.evaluation(logits[:8], labels[:8], jnp.ones(8)))
    bad = logits.at[8:].set(jnp.nan).at[9].set(jnp.inf)
    padded = task.finish(task.evaluation(bad, labels, (jnp.arange(SIZE) < 8).astype(jnp.float32)))
    assert padded == pytest.approx(plain, rel=1e-6)


@of_kinds(tasks)
def test_batches_together_are_worth_what_the_whole_is(task, logits, labels):
    parts = [task.evaluation(logits[i : i + 4], labels[i : i + 4], jnp.ones(4)) for i in range(0, SIZE, 4)]
    sums = {name: sum(part.sums[name] for part in parts) for name in parts[0].sums}
    examples = {name: np.concatenate([part.examples[name] for part in parts]) for name in parts[0].examples}
    whole = task.finish(task.evaluation(logits, labels, jnp.ones(SIZE)))
    assert task.finish(Evaluation(sums, examples)) == pytest.approx(whole, rel=1e-6)


@of_kinds(tasks)
def test_scores_are_probabilities_in_the_order_of_the_logits(task, logits):
    scores = np.asarray(task.scores(logits))
    assert scores.shape == (SIZE, len(CLASSES))
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(logits))


@of_kinds(tasks)
def test_of_several_views_the_scores_are_averaged(task, logits):
    views = jnp.stack([logits, logits[::-1], -2 * logits])
    expected = np.mean([task.scores(view) for view in views], axis=0)
    for order in ([0, 1, 2], [2, 0, 1]):
        np.testing.assert_allclose(task.scores(task.averaged(views[jnp.array(order)])), expected, rtol=1e-5)


@of_kinds(tasks)
def test_views_that_agree_are_worth_what_one_is(task, logits, labels):
    averaged = task.averaged(jnp.stack([logits] * 16))
    np.testing.assert_allclose(task.losses(averaged, labels), task.losses(logits, labels), rtol=1e-5)
    np.testing.assert_array_equal(np.argsort(averaged), np.argsort(logits))


@of_kinds(tasks)
def test_views_whose_scores_are_rounded_to_none_or_all_have_a_finite_loss(task, labels):
    sure = jnp.where(jnp.arange(SIZE * len(CLASSES)).reshape(SIZE, -1) % 3 == 0, 500.0, -500.0)
    assert {0.0} < set(np.asarray(task.scores(sure)).ravel().tolist())
    assert np.isfinite(task.losses(task.averaged(jnp.stack([sure, sure])), labels)).all()


@of_kinds(tasks)
def test_of_views_that_are_nan_the_mean_is_nan(task, logits):
    assert np.isnan(task.averaged(jnp.stack([logits, logits * jnp.nan]))).all()


@of_kinds(tasks)
def test_each_class_has_its_examples_and_its_chief_metric_first(task, logits, labels):
    """Of 9 examples the first two classes have two each, the others one; of 6 the last has none."""
    for count, sizes in ((9, [2, 2, 1, 1, 1, 1, 1]), (6, [1, 1, 1, 1, 1, 1, 0])):
        columns = task.by_class(task.evaluation(logits, labels, (jnp.arange(SIZE) < count).astype(jnp.float32)))
        examples, chief, *others = columns.values()
        assert next(iter(columns)) == "examples"
        assert examples.tolist() == sizes
        assert examples.dtype == np.int64
        for values in (chief, *others):
            assert values.shape == (len(CLASSES),)
            assert np.isnan(values).tolist() == [size == 0 for size in sizes]


@of_kinds(tasks)
def test_answers_are_the_likeliest_classes_first(task):
    scores = np.array([0.05, 0.3, 0.05, 0.3, 0.1, 0.15, 0.05], np.float32)
    answers = task.answers(scores, 3)
    assert [answer.name for answer in answers] == ["bee", "dog", "fox"]  # of equal ones the first
    assert [answer.score for answer in answers] == pytest.approx([0.3, 0.3, 0.15])
