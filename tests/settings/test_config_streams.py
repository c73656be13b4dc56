"""Settings by stream: written in either form, and what an example of several streams cannot be is reported at the start."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from configs import audioset, digits, image_folder, imagenet, mnist5k_points, point_folder
from perceiver_jax.model.config import InputSpec
from perceiver_jax.section import of_stream
from perceiver_jax.settings.config import dump, lasting, parse, read
from tests.settings import two_streams
from tests.settings.changes import MISSING, fault, with_changes

ROOT = Path(__file__).parents[2]


# What is written


@pytest.fixture
def long_form():
    """The digits config with its stream's name."""
    config = digits.get_config()
    named = {"augment": {"image": config.augment.to_dict()}, "model.positions": {"image": config.model.positions.to_dict()}}
    return with_changes(config, named)


def test_either_form_means_the_same_to_a_single_stream(long_form):
    short, long = parse(digits.get_config()), parse(long_form)
    assert of_stream(short.augment, "image") == of_stream(long.augment, "image")
    assert of_stream(short.model.positions, "image") == of_stream(long.model.positions, "image")
    assert short.inputs == long.inputs


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("form", ["short", "long", "two"])
def test_each_form_is_dumped_as_it_was_written_and_read_back(long_form, form, shrink):
    written = {"short": digits.get_config(), "long": long_form, "two": two_streams.get_config()}[form]
    config = parse(written, shrink)
    assert read(json.loads(json.dumps(dump(config)))) == config
    if not shrink:
        assert config.model_dump() == written.to_dict()


def test_the_streams_of_an_example_are_in_the_order_of_their_names():
    config = parse(two_streams.get_config())
    assert config.inputs == (
        InputSpec("image", grid=(28, 28), num_features=1),
        InputSpec("points", grid=(64,), num_features=3, num_coordinates=3),
    )


def test_the_widest_stream_with_its_vector_decides_the_channels():
    config = parse(two_streams.get_config())
    assert (config.num_inputs, config.input_channels) == (28 * 28 + 64, 3 * (2 * 4 + 1) + 3)


def test_tiny_shrinks_the_settings_of_every_stream():
    config = parse(two_streams.get_config(), shrink=True)
    assert config.model.positions["image"].max_resolution == (28.0, 28.0)
    assert config.model.positions["points"].num_bands == 4
    assert config.inputs[1].grid == (32,)
    wide = parse(with_changes(two_streams.get_config(), {"model.positions.points.num_bands": 9}), shrink=True)
    assert wide == config


def test_settings_by_stream_are_part_of_what_a_run_must_keep(long_form):
    assert lasting(parse(digits.get_config()))["augment.rotate_degrees"] == "10.0"
    assert lasting(parse(long_form))["augment.image.rotate_degrees"] == "10.0"
    assert lasting(parse(two_streams.get_config()))["model.positions.points.num_bands"] == "4"


def test_settings_by_stream_are_frozen():
    config = parse(two_streams.get_config())
    for settings in (config.augment, config.model.positions):
        with pytest.raises(TypeError, match="frozen"):
            settings["image"] = settings["points"]
    assert hash(config.model) == hash(parse(two_streams.get_config()).model)


# What is wrong

STREAMS = "the data have image, points"
VECTORS = {"channels": 3, "init_scale": 0.02}
FOURIER = two_streams.get_config().model.positions.image.to_dict()
RESNET = {
    **{"kind": "resnet", "positions": two_streams.get_config().model.positions.to_dict(), "permutation_seed": None},
    **{
        "compute_dtype": "float32",
        "matmul_precision": "float32",
        "remat": "none",
        "stage_blocks": (1,),
        "stem_channels": 4,
        "statistics_decay": 0.9,
    },
}
MIXING = imagenet.get_config("io").augment.to_dict()


def dropout_fault(value: dict, streams: str = "image, points") -> str:
    rule = "expected probabilities, together at most 1, for some of several streams"
    return f"views.stream_dropout {value}: {rule}; the data have {streams}"


FAULTS = [
    # augment by stream
    ({"augment.pionts": two_streams.POINTS}, "unknown key augment.pionts; did you mean augment.points?"),
    ({"augment.audio": {"kind": "none"}}, "unknown key augment.audio\n  expected: one of augment.image, augment.points"),
    (
        {"augment.points": MISSING},
        "missing key augment.points\n  try: each stream of the data has its own section",
    ),
    *(
        (
            {"augment": short},
            "augment: expected a section for each stream of the data\n  expected: augment.image, augment.points",
        )
        for short in (two_streams.IMAGE, {}, 3, None)
    ),
    ({"augment.points": 3}, "augment.points: expected a section, got 3"),
    ({"augment.points.jitter": -1.0}, "augment.points.jitter: expected finite number >= 0, got -1.0"),
    ({"augment.points.jiter": 1.0}, "unknown key augment.points.jiter; did you mean augment.points.jitter?"),
    ({"augment.points.kind": "affine"}, "augment.points.kind: unknown value 'affine'\n  expected: one of none, points"),
    (
        {"augment.points.kind": "none"},
        "key augment.points.jitter is not used with this augment.points.kind; only with points\n"
        "  try: --config.augment.points=\"{'kind': 'none', 'extent': None, 'half_side': 1.0}\"",
    ),
    # positions by stream
    ({"model.positions.pionts": FOURIER}, f"model.positions names pionts: {STREAMS}; did you mean points?"),
    ({"model.positions.audio": FOURIER}, f"model.positions names audio: {STREAMS}"),
    ({"model.positions.points": MISSING}, f"model.positions lacks points: {STREAMS}"),
    ({"model.positions": FOURIER}, f"model.positions is not by name: {STREAMS}"),
    (
        {"model.positions.points.max_resolution": (28.0, 28.0)},
        "model.positions.points.max_resolution (28.0, 28.0): expected one number for each of the 3 coordinates of points's"
        " 64 inputs",
    ),
    (
        {"model.positions.points": {"kind": "learned", "channels": 8, "init_scale": 0.02}},
        "model.positions.points.kind learned: points brings coordinates with each input; try fourier or none",
    ),
    ({"model.positions.points": 3}, "model.positions.points: expected a section, got 3"),
    (
        {"model.positions.points.num_band": 3},
        "unknown key model.positions.points.num_band; did you mean model.positions.points.num_bands?",
    ),
    (
        {"model.positions.points.num_bands": 0},
        "model.positions.points.num_bands: expected integer >= 1, got 0",
    ),
    (
        {"model.positions.points.kind": "furier"},
        "model.positions.points.kind: unknown value 'furier'\n  expected: one of fourier, learned, none",
    ),
    # the vectors that make streams equally wide
    (
        {"model.modality_vectors": None},
        "model.modality_vectors None: they make image, points equally wide; the authors' have 4 channels",
    ),
    # views
    *(
        ({"views.stream_dropout": value}, dropout_fault(value))
        for value in ({"audio": 0.1}, {"audio": 0.1, "image": 0.1}, {"image": 0.6, "points": 0.5})
    ),
    ({"views.stream_dropout": {"image": 1.0}}, "views.stream_dropout.image: expected finite number >= 0 and < 1, got 1.0"),
    ({"views.stream_dropout": {"image": -0.1}}, "views.stream_dropout.image: expected finite number >= 0 and < 1, got -0.1"),
    (
        {"views.stream_dropout": {"image": math.nan}},
        "views.stream_dropout.image: expected finite number >= 0 and < 1, got nan",
    ),
    (
        {"views.stream_dropout": 0.1},
        "views.stream_dropout: expected a section of finite number >= 0 and < 1 by name, got 0.1",
    ),
    ({"views.num_evaluation": 2}, "views.num_evaluation 2: stream image has 1"),
    # what only one stream can have
    ({"augment.image": MIXING}, "augment.image.mix: examples of several streams cannot be mixed; try kind none"),
    ({"model": RESNET}, "model.kind resnet: expected one stream of inputs, the data have image, points"),
    ({"mesh.inputs": 3}, "mesh.inputs 3 does not divide the 28 of image's first axis; try 1"),
]


def name_of(case) -> str:
    changes, _ = case
    return ",".join(f"{name}={'missing' if value is MISSING else value!r:.30}" for name, value in changes.items())


@pytest.mark.parametrize(("changes", "message"), FAULTS, ids=map(name_of, FAULTS))
def test_a_fault_of_two_streams_is_reported_in_these_words_shrunk_or_not(changes, message):
    config = with_changes(two_streams.get_config(), changes)
    assert fault(config) == message
    assert fault(config, shrink=True) == message


SINGLE = [
    (digits, {"augment": {"imag": {"kind": "none"}}}, "unknown key augment.imag; did you mean augment.image?"),
    (
        digits,
        {"augment": {"image": {"kind": "none"}, "points": {"kind": "none"}}},
        "unknown key augment.points\n  expected: one of augment.image",
    ),
    (digits, {"model.positions": {"points": FOURIER}}, "model.positions names points: the data have image"),
    (
        digits,
        {"model.modality_vectors": VECTORS},
        "model.modality_vectors: only with several streams, the data have image; try None",
    ),
    (digits, {"views.stream_dropout": {"image": 0.1}}, dropout_fault({"image": 0.1}, "image")),
    (digits, {"views.num_evaluation": 2}, "views.num_evaluation 2: stream image has 1"),
    (image_folder, {"views.num_evaluation": 11}, "views.num_evaluation 11: stream image has 10"),
    (
        point_folder,
        {"data.grid": (44, 44)},
        'data.few_points "mask": expected data.grid of one axis, got (44, 44); try "repeat"',
    ),
    (
        point_folder,
        {"data.few_points": "masks"},
        "data.few_points: unknown value 'masks'\n  expected: one of mask, repeat",
    ),
    (
        point_folder,
        {"model": {**RESNET, "positions": {"kind": "none"}}},
        "model.kind resnet: points's inputs may be missing; only perceiver leaves out",
    ),
    (
        mnist5k_points,
        {"data.grid": (513,)},
        "data.grid (513,): expected at most the 512 points that a digit has",
    ),
    (
        digits,
        {"task.kind": "singel_label"},
        "task.kind: unknown value 'singel_label'\n  expected: one of single_label, multi_label",
    ),
]


NAMES = [f"{module.__name__}:{name_of((changes, ''))}" for module, changes, _ in SINGLE]


@pytest.mark.parametrize(("module", "changes", "message"), SINGLE, ids=NAMES)
def test_a_fault_of_a_single_stream_is_reported_in_these_words(module, changes, message):
    assert fault(with_changes(module.get_config(), changes)) == message


@pytest.mark.parametrize("num_views", [1, 2, 10])
def test_crops_have_ten_views_and_clouds_any_number(num_views):
    views = {"views.num_evaluation": num_views}
    assert parse(with_changes(image_folder.get_config(), views)).views.num_evaluation == num_views
    assert parse(with_changes(mnist5k_points.get_config(), {"views.num_evaluation": 50})).views.num_evaluation == 50


def test_dropout_of_one_of_two_streams_is_enough():
    config = parse(with_changes(two_streams.get_config(), {"views.stream_dropout": {"points": 0.5}}))
    assert config.views.stream_dropout == {"points": 0.5}


LAUNCH = """
import runpy, sys
sys.argv[0] = "train"
try:
    runpy.run_module("experiments.train", run_name="__main__")
finally:
    print(sorted({"jax", "flax", "grain"} & set(sys.modules)))
"""


def test_a_fault_of_streams_ends_training_before_jax(tmp_path):
    path = tmp_path / "two.py"
    path.write_text("from tests.settings.two_streams import get_config\n")
    words = [f"--config={path}", f"--workdir={tmp_path / 'run'}", "--config.model.modality_vectors=None"]
    done = subprocess.run([sys.executable, "-c", LAUNCH, *words], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "[]\n")
    assert done.stderr == (
        "error[2] model.modality_vectors None: they make image, points equally wide; the authors' have 4 channels\n"
    )
    assert not (tmp_path / "run").exists()


def test_tiny_frames_are_small_and_still_of_whole_patches():
    run = parse(audioset.get_config(), shrink=True)
    assert run.data.video.size == (32, 32)
    assert {stream.name: stream.grid for stream in run.inputs} == {"audio": (60, 80), "video": (16, 4, 4)}
