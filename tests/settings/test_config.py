"""Every config that is shipped is sound, and every error in one is reported at the start, in words to act on."""

import copy
import importlib
import json
import math
import os
import random
import string
from pathlib import Path

import pydantic
import pytest
from ml_collections import ConfigDict

from configs import digits, imagenet, imagenet_baselines, mnist5k_points
from perceiver_jax.data.sources import Contents
from perceiver_jax.errors import Failure
from perceiver_jax.model.config import PerceiverConfig
from perceiver_jax.model.schedule import num_weights
from perceiver_jax.runs.problem import make, resolve
from perceiver_jax.section import Section, Tiny
from perceiver_jax.settings import faults as config_faults
from perceiver_jax.settings.config import Config, dump, parse, read
from tests.settings.changes import MISSING, fault, with_changes

FILES = sorted(path.stem for path in Path(__file__).parents[2].joinpath("configs").glob("[!_]*.py"))
ALL = [
    (name, variant)
    for name in FILES
    for variant in (None, *getattr(importlib.import_module(f"configs.{name}"), "VARIANTS", ()))
]
each_config = pytest.mark.parametrize(("name", "variant"), ALL, ids=[f"{name}:{variant or ''}" for name, variant in ALL])
WRITTEN_OUT = "\n  try: every field is written out: see configs/digits.py"


def shipped(name: str, variant: str | None) -> ConfigDict:
    module = importlib.import_module(f"configs.{name}")
    return module.get_config(variant) if variant else module.get_config()


def sections(config: Section):
    """The section itself and all in it, those by stream included."""
    yield config
    for name in type(config).model_fields:
        value = getattr(config, name)
        for inner in value.values() if isinstance(value, dict) else [value]:
            if isinstance(inner, Section):
                yield from sections(inner)


def test_there_are_configs():
    assert {"digits", "imagenet", "mnist5k"} <= set(FILES)


@each_config
def test_config_parses_and_survives_json(name, variant):
    config = parse(shipped(name, variant))
    assert read(json.loads(json.dumps(dump(config)))) == config


@each_config
def test_config_holds_exactly_what_its_file_writes(name, variant):
    config = shipped(name, variant)
    written = config.to_dict()
    if "data_dir" in written["data"]:
        written["data"]["data_dir"] = os.path.expanduser(written["data"]["data_dir"])
    assert parse(config).model_dump() == written


@each_config
def test_tiny_config_parses_survives_json_and_keeps_within_every_limit(name, variant):
    tiny = parse(shipped(name, variant), shrink=True)
    assert read(json.loads(json.dumps(dump(tiny)))) == tiny
    limited = 0
    for section in sections(tiny):
        for field, info in type(section).model_fields.items():
            for limit in (item.value for item in info.metadata if isinstance(item, Tiny)):
                value = getattr(section, field)
                limited += 1
                if isinstance(limit, str):
                    assert value == limit
                else:
                    assert max(value if isinstance(value, tuple) else [value]) <= limit
    assert limited >= 13
    assert make(tiny, Contents(("a", "b"), {"train": 1000, "test": 100}), fingerprint="").num_steps == 6


def test_tiny_keeps_what_is_small_enough():
    config = with_changes(digits.get_config(), {"model.num_latents": 3, "model.latent_channels": 12, "data.batch_size": 4})
    tiny = parse(config, shrink=True)
    assert (tiny.model.num_latents, tiny.model.latent_channels, tiny.data.batch_size) == (3, 12, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"model.latent_channels": 72, "model.num_self_attend_heads": 9},
        {"optim.accumulation_steps": 16},
        {"optim.accumulation_steps": 3, "data.batch_size": 33},
        {"optim.accumulation_steps": 2, "mesh.virtual_shards": 32},
        {"model.positions": {"kind": "learned", "channels": 30, "init_scale": 1.0}, "model.num_cross_attend_heads": 31},
    ],
    ids=str,
)
def test_tiny_still_divides_what_it_shrinks(changes):
    tiny = parse(with_changes(digits.get_config(), changes), shrink=True)
    assert tiny.model.latent_channels % tiny.model.num_self_attend_heads == 0
    assert tiny.data.batch_size % (tiny.optim.accumulation_steps * (tiny.mesh.virtual_shards or 1)) == 0
    assert (tiny.mesh.virtual_shards is None) == ("mesh.virtual_shards" not in changes)
    assert tiny.input_channels % tiny.model.num_cross_attend_heads == 0


LENGTH = 'a length above 0 such as "2000 steps", "50000 examples" or "120 epochs"'
SEED = "seed: expected an integer from 0 to 2^32 - 1, got"
KINDS = "\n  expected: one of flat_cosine, constant, steps"
STEPS = {"kind": "steps", "factor": 0.1}
FOURIER = {"kind": "fourier", "num_bands": 4, "max_resolution": (8.0, 8.0)}
RESNET = {
    **{
        "kind": "resnet",
        "positions": FOURIER,
        "permutation_seed": None,
        "compute_dtype": "float32",
        "matmul_precision": "float32",
        "remat": "none",
    },
    **{"stage_blocks": (1, 1), "stem_channels": 4, "statistics_decay": 0.9},
}
RISING = "expected rising fractions of the run between 0 and 1"
FAULTS = [
    # unknown keys
    ({"optimizer": {"learning_rate": 0.1}}, "unknown key optimizer; did you mean optim?"),
    ({"learning_rate": 0.1}, "unknown key learning_rate; did you mean optim.learning_rate?"),
    ({"model.batch_size": 8}, "unknown key model.batch_size; did you mean data.batch_size?"),
    ({"model.positions.num_band": 4}, "unknown key model.positions.num_band; did you mean model.positions.num_bands?"),
    (
        {"augment.mixup_alpha": 0.2},
        "unknown key augment.mixup_alpha\n  expected: one of augment.crop, augment.evaluation_crop,"
        " augment.flip_probability, augment.kind, augment.mix, augment.position_frame, augment.randaugment,"
        " augment.rotate_degrees, augment.scale, augment.shear, augment.translate",
    ),
    ({"zzz": 0}, "unknown key zzz\n  expected: one of augment, data, mesh, model, optim, seed, task, train, views"),
    ({"train.label_smoothing": 0.1}, "unknown key train.label_smoothing; did you mean task.label_smoothing?"),
    # a misspelt key is missing too: the unknown one comes first
    ({"seed": MISSING, "sead": 0}, "unknown key sead; did you mean seed?"),
    ({"optim.b1": MISSING, "optim.beta1": 0.9}, "unknown key optim.beta1; did you mean optim.b1?"),
    ({"augment.kind": MISSING, "augment.knd": "none"}, "unknown key augment.knd; did you mean augment.kind?"),
    ({"data.kind": MISSING, "data.knd": "digits"}, "unknown key data.knd; did you mean data.kind?"),
    # missing keys and sections
    *(
        ({name: MISSING}, f"missing key {name}{WRITTEN_OUT}")
        for name in (
            *("seed", "task", "model", "data", "views", "augment", "optim", "train", "mesh", "task.kind", "data.kind"),
            *("task.label_smoothing", "data.batch_size", "data.sampling", "optim.kind"),
            *("views.num_evaluation", "views.stream_dropout", "views.dropped"),
            *("augment.kind", "augment.shear", "model.positions.kind", "model.positions.num_bands", "optim.schedule.kind"),
        )
    ),
    # integers
    *(
        ({"data.batch_size": value}, f"data.batch_size: expected integer >= 1, got {value!r}")
        for value in (0, -8, 7.5, 1e3, "eight", None, True, (8,))
    ),
    ({"data.num_workers": -1}, "data.num_workers: expected integer >= 0, got -1"),
    ({"data.sampling": "balanced"}, "data.sampling: unknown value 'balanced'\n  expected: one of class_balanced, shuffle"),
    ({"views.dropped": "zero"}, "views.dropped: unknown value 'zero'\n  expected: one of zeroed, masked"),
    ({"views.num_evaluation": 0}, "views.num_evaluation: expected integer >= 1, got 0"),
    ({"model.num_latents": 0}, "model.num_latents: expected integer >= 1, got 0"),
    ({"model.latent_channels": 0}, "model.latent_channels: expected integer >= 1, got 0"),
    ({"mesh.model": 0}, "mesh.model: expected integer >= 1, got 0"),
    ({"mesh.inputs": 3}, "mesh.inputs 3 does not divide the 8 of the inputs' first axis; try 1"),
    ({"mesh.virtual_shards": 0}, "mesh.virtual_shards: expected integer >= 1 or None, got 0"),
    ({"mesh.virtual_shards": MISSING}, f"missing key mesh.virtual_shards{WRITTEN_OUT}"),
    (
        {"mesh.virtual_shards": 12},
        "mesh.virtual_shards 12: expected a power of two, or None; try 8 or 16",
    ),
    (
        {"mesh.virtual_shards": 8, "mesh.inputs": 2},
        "mesh.inputs 2 with mesh.virtual_shards 8: a shard's examples are read whole, as their parts would be merged with"
        " other roundings; try mesh.inputs 1, or mesh.virtual_shards None",
    ),
    ({"mesh.virtual_shards": 128}, "mesh.virtual_shards 128 does not divide data.batch_size 64; try 64"),
    (
        {"mesh.virtual_shards": 64, "optim.accumulation_steps": 4},
        "mesh.virtual_shards 64 does not divide data.batch_size / optim.accumulation_steps 16; try 16",
    ),
    ({"seed": -1}, f"{SEED} -1"),
    ({"seed": 2**32}, f"{SEED} {2**32}"),
    ({"seed": 2**64}, f"{SEED} {2**64}"),
    ({"seed": "abc"}, "seed: expected integer, got 'abc'"),
    ({"seed": "9" * 5000}, f"seed: expected integer, got '{'9' * 96}..."),
    # numbers
    *(
        ({"optim.learning_rate": value}, f"optim.learning_rate: expected finite number > 0, got {value!r}")
        for value in (0, 0.0, -1.0, math.nan, math.inf, -math.inf, "1,e-3", None)
    ),
    ({"optim.b1": 1.0}, "optim.b1: expected finite number >= 0 and < 1, got 1.0"),
    ({"optim.weight_decay": -0.1}, "optim.weight_decay: expected finite number >= 0, got -0.1"),
    ({"optim.clip_norm": 0.0}, "optim.clip_norm: expected finite number > 0 or None, got 0.0"),
    ({"optim.ema_decay": 1.0}, "optim.ema_decay: expected finite number >= 0 and < 1 or None, got 1.0"),
    ({"task.label_smoothing": "0.1"}, "task.label_smoothing: expected finite number >= 0 and < 1, got '0.1'"),
    # lengths
    *(
        ({"train.duration": value}, f"train.duration: expected {LENGTH}, got {value!r}")
        for value in ("0 steps", "-5 steps", "5 step", "5", "", "five epochs", "1e3 steps", "5  steps", "5 steps ")
    ),
    ({"train.log_every": 50}, "train.log_every: expected text, got 50"),
    # choices
    ({"model.sharing": "non"}, "model.sharing: unknown value 'non'\n  expected: one of none, paper, all"),
    ({"model.arrangement": 3}, "model.arrangement: unknown value 3\n  expected: one of interleaved, at_start"),
    ({"optim.kind": "adam"}, "optim.kind: unknown value 'adam'\n  expected: one of adamw, lamb"),
    (
        {"model.compute_dtype": "float16"},
        "model.compute_dtype: unknown value 'float16'\n  expected: one of bfloat16, float32",
    ),
    ({"data.kind": "mnist"}, "data.kind: unknown value 'mnist'\n  expected: one of mnist5k, "),
    ({"data.kind": 3}, "data.kind: unknown value 3\n  expected: one of "),
    ({"optim.schedule": {"kind": "cosine"}}, f"optim.schedule.kind: unknown value 'cosine'{KINDS}"),
    ({"augment.kind": "afine"}, "augment.kind: unknown value 'afine'\n  expected: one of affine, none, inception"),
    ({"task.kind": "multi_labels"}, "task.kind: unknown value 'multi_labels'\n  expected: one of multi_label, single_label"),
    # sections and tuples of another shape
    *(
        ({name: 3}, f"{name}: expected a section, got 3")
        for name in ("task", "model", "data", "views", "augment", "optim", "optim.schedule", "model.positions")
    ),
    ({"optim.schedule": None}, "optim.schedule: expected a section, got None"),
    (
        {"model.positions": {**FOURIER, "max_resolution": 8.0}},
        "model.positions.max_resolution: expected tuple of finite numbers > 0, got 8.0",
    ),
    (
        {"model.positions": {**FOURIER, "max_resolution": (8.0, 0.0)}},
        "model.positions.max_resolution: expected tuple of finite numbers > 0, got 0.0",
    ),
    # fields of another variant
    (
        {"model.positions.kind": "none"},
        "key model.positions.max_resolution is not used with this model.positions.kind; only with fourier\n"
        "  try: --config.model.positions=\"{'kind': 'none'}\"",
    ),
    (
        {"optim.schedule": {"kind": "constant", "milestones": (0.5,)}},
        "key optim.schedule.milestones is not used with this optim.schedule.kind; only with steps\n"
        "  try: --config.optim.schedule=\"{'kind': 'constant'}\"",
    ),
    (
        {"augment.kind": "none"},
        "key augment.flip_probability is not used with this augment.kind; only with affine, inception\n"
        "  try: --config.augment=\"{'kind': 'none'}\"",
    ),
    (
        {"data.data_dir": "x"},
        "key data.data_dir is not used with this data.kind; only with"
        " audioset, fashion_mnist, image_folder, imagenet2012, modelnet40, point_folder, recording_folder\n"
        "  try: --config.data=\"{'kind': 'digits', 'batch_size': 64, 'eval_batch_size': 128, 'validation_examples': 0,"
        " 'sampling': 'shuffle', 'num_workers': 0, 'prefetch_batches': 4}\"",
    ),
    (
        {"task.kind": "multi_label"},
        "key task.label_smoothing is not used with this task.kind; only with single_label\n"
        "  try: --config.task=\"{'kind': 'multi_label'}\"",
    ),
    # another kind of model
    ({"model.kind": MISSING}, f"missing key model.kind{WRITTEN_OUT}"),
    ({"model.kind": MISSING, "model.knd": "perceiver"}, "unknown key model.knd; did you mean model.kind?"),
    (
        {"model.kind": "perciever"},
        "model.kind: unknown value 'perciever'\n  expected: one of perceiver, transformer, vit, resnet",
    ),
    ({"model.patch_size": 4}, "key model.patch_size is not used with this model.kind; only with vit"),
    ({"model.num_heads": 4}, "key model.num_heads is not used with this model.kind; only with transformer, vit"),
    ({"model.kind": "vit"}, "key model.arrangement is not used with this model.kind; only with perceiver"),
    ({"model": {**RESNET, "patch_size": 4}}, "key model.patch_size is not used with this model.kind; only with vit"),
    ({"model": {**RESNET, "stage_block": (1,)}}, "unknown key model.stage_block; did you mean model.stage_blocks?"),
    ({"model": {**RESNET, "remat": "layer"}}, "model.remat: unknown value 'layer'\n  expected: one of none, block"),
    (
        {"model": {**RESNET, "stage_blocks": ()}},
        "model.stage_blocks: expected tuple of one or more integers >= 1, got ()",
    ),
    (
        {"model": {**RESNET, "stage_blocks": (1, 0)}},
        "model.stage_blocks: expected tuple of one or more integers >= 1, got 0",
    ),
    (
        {"model": {**RESNET, "permutation_seed": -1}},
        "model.permutation_seed: expected integer >= 0 or None, got -1",
    ),
    (
        {"model": {**RESNET, "positions": {**FOURIER, "num_band": 4}}},
        "unknown key model.positions.num_band; did you mean model.positions.num_bands?",
    ),
    (
        {"model": {**RESNET, "positions": {**FOURIER, "max_resolution": (8.0,)}}},
        "model.positions.max_resolution (8.0,): expected one number for each of the 2 axes of image's 8x8 inputs",
    ),
    (
        {"model": RESNET, "mesh.inputs": 2},
        "mesh.inputs 2: only with model.kind perceiver do devices share inputs; try 1",
    ),
    # contradictions
    (
        {"model.latent_channels": 66},
        "model.latent_channels 66 not divisible by model.num_self_attend_heads 4; try 64 or 68",
    ),
    ({"model.latent_channels": 3}, "model.latent_channels 3 not divisible by model.num_self_attend_heads 4; try 4"),
    (
        {"model.num_cross_attends": 3},
        "model.num_cross_attends 3 > model.num_blocks 2: interleaved, each cross-attend opens a block; add blocks or set"
        ' model.arrangement="at_start"',
    ),
    ({"model.num_cross_attend_heads": 18}, "model.num_cross_attend_heads 18 does not divide the 35 input channels; try 7"),
    (
        {"model.positions": {**FOURIER, "max_resolution": (8.0,)}},
        "model.positions.max_resolution (8.0,): expected one number for each of the 2 axes of image's 8x8 inputs",
    ),
    (
        {"optim.accumulation_steps": 3, "data.batch_size": 32},
        "optim.accumulation_steps 3 does not divide data.batch_size 32; try 1",
    ),
    (
        {"train.eval_splits": ("validation", "test")},
        "train.eval_splits ('validation', 'test') with data.validation_examples 0: validation examples are evaluated where"
        " there are any; try ('test',)",
    ),
    *(
        (
            {"optim.schedule": {**STEPS, "milestones": milestones}},
            f"optim.schedule.milestones {milestones}: {RISING}",
        )
        for milestones in ((0.5, 0.2), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (0.5, 1.2), (-0.1, 0.5))
    ),
    (
        {"optim.schedule": {**STEPS, "milestones": (0.5, "a")}},
        "optim.schedule.milestones: expected tuple of finite numbers, got 'a'",
    ),
]


def name_of(case) -> str:
    changes, _ = case
    return ",".join(f"{name}={'missing' if value is MISSING else value!r:.30}" for name, value in changes.items())


@pytest.mark.parametrize(("changes", "message"), FAULTS, ids=map(name_of, FAULTS))
def test_fault_is_reported_in_these_words_shrunk_or_not(changes, message):
    config = with_changes(digits.get_config(), changes)
    reported = fault(config)
    if message.endswith((", ", "one of ")):  # the other data sources follow
        assert reported.startswith(message)
    else:
        assert reported == message
    assert fault(config, shrink=True) == reported


def test_a_resnet_is_refused_inputs_that_are_not_pictures():
    reported = fault(with_changes(mnist5k_points.get_config(), {"model": {**RESNET, "positions": {"kind": "none"}}}))
    assert reported == "model.kind resnet: expected inputs on 2 axes, points has 256"


def test_a_run_is_refused_a_validation_split_of_all_its_examples():
    changes = {"data.validation_examples": 1347, "train.eval_splits": ("validation", "test")}
    with pytest.raises(Failure) as caught:
        resolve(parse(with_changes(digits.get_config(), changes)))
    assert str(caught.value) == (
        "error[2] data.validation_examples 1347: split train has 1347 examples\n"
        "  expected: fewer, so that some are left to train on"
    )


def test_an_empty_config_is_reported_what_it_lacks():
    assert fault(ConfigDict({})) == f"missing key data{WRITTEN_OUT}"


def typo(word: str, rng: random.Random) -> str:
    """One letter inserted, left out, replaced or exchanged with the next."""
    i, letter = rng.randrange(len(word)), rng.choice(string.ascii_lowercase + "_")
    edits = [word[:i] + letter + word[i:], word[:i] + word[i + 1 :], word[:i] + letter + word[i + 1 :]]
    return rng.choice([*edits, word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :]])


def typos(count: int) -> list[tuple[ConfigDict, str, str]]:
    """Configs, the names of a field or section of theirs, and one or two slips away a name that they do not have."""
    rng, found = random.Random(0), []
    configs = [digits.get_config(), *map(imagenet.get_config, ("fourier", "learned", "io"))]
    configs += map(imagenet_baselines.get_config, ("resnet50", "vit_b16"))
    names = [sorted(config_faults.known_keys(config.to_dict())) for config in configs]
    while len(found) < count:
        i = rng.randrange(len(configs))
        name = rng.choice(names[i])
        parent, dot, leaf = name.rpartition(".")
        for _ in range(rng.choice([1, 2])):
            leaf = typo(leaf, rng) if leaf else leaf
        if leaf and parent + dot + leaf not in names[i]:
            found.append((configs[i], name, parent + dot + leaf))
    return found


def test_a_misspelt_key_in_a_file_is_reported_the_right_one():
    wrong = []
    for config, name, misspelt in typos(200):
        values = ConfigDict(config.to_dict())
        *parents, leaf = name.split(".")
        section = values
        for part in parents:
            section = section[part]
        with section.unlocked():
            section[misspelt.rpartition(".")[2]] = section[leaf]
            del section[leaf]
        reported = fault(values)
        wrong += [] if reported == f"unknown key {misspelt}; did you mean {name}?" else [reported]
    assert len(wrong) <= 10, wrong


def test_a_misspelt_override_is_reported_the_right_key():
    wrong = []
    for config, name, misspelt in typos(200):
        reported = config_faults.unknown_key(misspelt, config_faults.known_keys(config.to_dict())).what
        wrong += [] if reported == f"unknown key {misspelt}; did you mean {name}?" else [reported]
    assert len(wrong) <= 10, wrong


@pytest.mark.parametrize(
    ("misspelt", "right"),
    [
        ("modle.num_latents", "model.num_latents"),
        ("modle.positons.num_band", "model.positions.num_bands"),
        ("optimiser.learning_rate", "optim.learning_rate"),
        ("optim.scedule.kind", "optim.schedule.kind"),
        ("num_latents", "model.num_latents"),
        ("viws.stream_dropout.image", "views.stream_dropout"),
    ],
)
def test_a_path_is_mended_part_by_part(misspelt, right):
    names = config_faults.known_keys(digits.get_config().to_dict())
    assert config_faults.unknown_key(misspelt, names).what == f"unknown key {misspelt}; did you mean {right}?"


def test_no_part_of_a_config_can_be_assigned():
    config = parse(digits.get_config())
    found = list(sections(config))
    assert len(found) >= 9
    for section in found:
        for name in type(section).model_fields:
            with pytest.raises(pydantic.ValidationError, match="frozen"):
                setattr(section, name, getattr(section, name))
    with pytest.raises(pydantic.ValidationError):
        config.new = 1


def test_parsing_leaves_the_given_config_as_it_was():
    config = digits.get_config()
    before = copy.deepcopy(config.to_dict())
    parse(config, shrink=True)
    assert config.to_dict() == before


def test_a_length_beyond_all_numbers_is_refused():
    endless = with_changes(digits.get_config(), {"train.duration": "9" * 400 + " steps"})
    assert fault(endless).startswith(f"train.duration: expected {LENGTH}, got ")


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        ("50 steps", 50),
        ("1.6 steps", 2),
        ("3200 examples", 100),
        ("100 examples", 3),
        ("1 examples", 1),
        ("1 epochs", 42),  # 1347 / 32 = 42.1
        ("60 epochs", 2526),  # 2525.6: an epoch need not end with a batch
        ("0.5 epochs", 21),
    ],
)
def test_durations_in_steps_of_32_of_1347_examples(duration, steps):
    assert resolve(parse(with_changes(digits.get_config(), {"data.batch_size": 32}))).steps(duration) == steps


def test_an_epoch_lacks_the_examples_held_out_for_validation():
    changes = {"data.validation_examples": 347, "train.eval_splits": ("validation", "test"), "data.batch_size": 32}
    problem = resolve(parse(with_changes(digits.get_config(), changes)))
    assert problem.steps("32 epochs") == 1000


@pytest.mark.parametrize(
    ("positions", "channels"),
    [
        (FOURIER, 1 + 2 * (2 * 4 + 1)),
        ({"kind": "learned", "channels": 5, "init_scale": 0.02}, 1 + 5),
        ({"kind": "none"}, 1),
    ],
    ids=lambda value: str(value),
)
def test_inputs_are_64_pixels_of_features_and_position(positions, channels):
    config = parse(with_changes(digits.get_config(), {"model.positions": positions, "model.num_cross_attend_heads": 1}))
    assert (config.num_inputs, config.input_channels) == (64, channels)


SCHEDULES = {  # arrangement, cross-attends, blocks, sharing: C cross-attend, S self-attends, and the weights each uses
    ("interleaved", 1, 1, "paper"): "C0 S0",
    ("interleaved", 1, 3, "paper"): "C0 S0 S0 S0",
    ("interleaved", 2, 3, "paper"): "C0 S0 C1 S0 S0",
    ("interleaved", 3, 3, "paper"): "C0 S0 C1 S0 C1 S0",
    ("interleaved", 3, 3, "none"): "C0 S0 C1 S1 C2 S2",
    ("interleaved", 3, 3, "all"): "C0 S0 C0 S0 C0 S0",
    ("interleaved", 3, 0, "none"): "C0 C1 C2",
    ("at_start", 1, 2, "paper"): "C0 S0 S0",
    ("at_start", 3, 2, "paper"): "C0 C1 C1 S0 S0",
    ("at_start", 3, 2, "none"): "C0 C1 C2 S0 S1",
    ("at_start", 2, 3, "all"): "C0 C0 S0 S0 S0",
    ("at_start", 3, 0, "paper"): "C0 C1 C1",
}


def arranged(arrangement, num_cross_attends, num_blocks, sharing) -> PerceiverConfig:
    changes = {
        "model.arrangement": arrangement,
        "model.num_cross_attends": num_cross_attends,
        "model.num_blocks": num_blocks,
        "model.sharing": sharing,
    }
    return parse(with_changes(digits.get_config(), changes)).model


@pytest.mark.parametrize(("row", "schedule"), SCHEDULES.items(), ids=lambda value: str(value))
def test_schedule(row, schedule):
    model = arranged(*row)
    assert " ".join(f"{use.kind[0].upper()}{use.weights}" for use in model.schedule) == schedule
    sets = {kind: len(set(filter(lambda use: use[0] == kind[0].upper(), schedule.split()))) for kind in ("cross", "self")}
    assert num_weights(model.schedule, "cross_attend") == sets["cross"]
    assert num_weights(model.schedule, "self_attends") == sets["self"]


def test_a_config_prints_as_json_without_a_type_of_its_own():
    values = dump(parse(digits.get_config()))
    assert json.loads(json.dumps(values)) == values
    assert set(values) == set(Config.model_fields)
