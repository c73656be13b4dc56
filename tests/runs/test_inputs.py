"""The picture of the first training batch: what the model is given, and its labels."""

import numpy as np

from perceiver_jax.data import pipeline
from perceiver_jax.modalities.raw_audio import NoAugment as SoundAsItIs
from perceiver_jax.modalities.video.config import NoAugment as FilmAsItIs
from perceiver_jax.report.examples import SIDE
from perceiver_jax.runs import inputs
from perceiver_jax.tasks import multi_label
from tests import problems
from tests.data import test_audioset
from tests.launch import problem_of
from tests.problems import take


def shown(monkeypatch, problem, batch, tmp_path):
    """What is drawn: of each example its words and its pictures."""
    seen = []
    monkeypatch.setattr(inputs, "draw_examples", lambda examples, output, title: seen.extend(examples))
    inputs.draw_inputs(problem, batch, tmp_path / "inputs.png", "a run")
    return seen


def test_the_words_are_the_labels_and_the_picture_is_what_the_model_sees(monkeypatch, tmp_path):
    problem = problem_of("data.batch_size=8")
    batch = take(pipeline.train_batches(problem.data, 0, 0), 1)[0]
    found = shown(monkeypatch, problem, batch, tmp_path)
    assert [words for words, _ in found] == [problem.classes[label] for label in batch["labels"]]
    modality = problem.modalities["image"]
    for (_, (picture,)), one in zip(found, batch["inputs"]["image"], strict=True):
        np.testing.assert_array_equal(picture, modality.shown(one, SIDE))


def test_of_a_mixed_example_both_classes_and_their_portions_are_named(monkeypatch, tmp_path):
    problem = problem_of("data.batch_size=8")
    batch = take(pipeline.train_batches(problem.data, 0, 0), 1)[0]
    mixed = batch | {"other_labels": (batch["labels"] + 1) % 10, "portions": np.array([1, *[0.75] * 7], np.float32)}
    words = [words for words, _ in shown(monkeypatch, problem, mixed, tmp_path)]
    names = [problem.classes[label] for label in batch["labels"]]
    assert words == [names[0], *(f"0.75 {name}, 0.25 {(int(name) + 1) % 10}" for name in names[1:])]


def test_a_stream_that_an_example_lacks_is_a_white_square(monkeypatch, tmp_path, once):
    data = test_audioset.config_of(test_audioset.prepare_once(once)).model_copy(update={"batch_size": 5})
    augment = {"audio": SoundAsItIs(kind="none"), "video": FilmAsItIs(kind="none", evaluation_crop=1.0)}
    problem = problems.problem_of(data, augment, task=multi_label.Config(kind="multi_label"))
    batch = take(pipeline.train_batches(problem.data, 0, 0), 1)[0]
    found = [
        tuple(name for name, picture in zip(("audio", "video"), pictures, strict=True) if picture.min() == 255)
        for _, pictures in shown(monkeypatch, problem, batch, tmp_path)
    ]
    assert sorted(found) == [(), (), (), ("audio",), ("video",)]
