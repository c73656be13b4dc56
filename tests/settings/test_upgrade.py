"""Config files written for version 0.1 are read as this version would write them, and that is said."""

import copy

import pytest
from ml_collections import ConfigDict

from configs import digits, image_folder, imagenet, imagenet_baselines, point_folder
from perceiver_jax.errors import Failure
from perceiver_jax.settings.config import parse
from perceiver_jax.settings.files import load_config
from perceiver_jax.settings.upgrade import upgraded
from tests.launch import SMALL

# configs/digits.py as 0.1.0 had it.
FILE = """
from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        dict(
            seed=0,
            model=dict(
                kind="perceiver",
                num_latents=16,
                latent_channels=32,
                latent_init_scale=1.0,
                num_blocks=2,
                num_cross_attends=2,
                num_self_attends_per_block=2,
                arrangement="interleaved",
                sharing="paper",
                num_cross_attend_heads=5,
                num_self_attend_heads=4,
                widening_factor=1,
                positions=dict(kind="fourier", num_bands=8, max_resolution=(8.0, 8.0)),
                head="mean_linear",
                compute_dtype="float32",
                remat="none",
            ),
            data=dict(
                source="digits",
                batch_size=64,
                eval_batch_size=128,
                validation_examples=0,
                num_workers=0,
                prefetch_batches=4,
            ),
            augment=dict(kind="affine", rotate_degrees=10.0, shear=0.1, scale=0.1, translate=0.08, flip_probability=0.0),
            optim=dict(
                name="adamw",
                learning_rate=0.003,
                schedule=dict(kind="flat_cosine", flat_fraction=0.5),
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.05,
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=0.995,
            ),
            train=dict(
                duration="3000 steps",
                label_smoothing=0.1,
                log_every="50 steps",
                eval_every="1000 steps",
                eval_splits=("test",),
                checkpoint_every="1000 steps",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1),
        )
    )
"""
VIEWS = digits.get_config().views.to_dict()
NOTE = "note: config {} is written for perceiver_jax 0.1; read as this version would write it\n"


def as_0_1(config: ConfigDict, *added: str) -> ConfigDict:
    """A config as 0.1 had it, without the fields of its data that have been added."""
    values = copy.deepcopy(config.to_dict())
    data, optim = values["data"], values["optim"]
    data["source"], optim["name"] = data.pop("kind"), optim.pop("kind")
    values["train"]["label_smoothing"] = values.pop("task")["label_smoothing"]
    del values["views"], data["sampling"], values["mesh"]["virtual_shards"], values["model"]["matmul_precision"]
    values["model"].pop("modality_vectors", None)
    for name in added:
        del data[name]
    return ConfigDict(values)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The file."""
    path = tmp_path_factory.mktemp("configs") / "old.py"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
def trained(launcher, old, tmp_path_factory):
    """A run of the file that has ended, and its workdir."""
    workdir = tmp_path_factory.mktemp("runs") / "old"
    run = launcher.train(workdir, *SMALL, "--tiny", config=str(old))
    assert run.wait() == 0, run.stderr
    return run, workdir


def test_a_file_of_0_1_is_the_config_that_this_version_ships(old):
    assert load_config(old) == digits.get_config()


def test_a_file_of_0_1_is_named_in_a_note(old, capsys):
    load_config(old)
    assert capsys.readouterr() == ("", NOTE.format(old))


def test_a_run_of_a_file_of_0_1_begins_with_that_note(trained, old):
    run, _ = trained
    assert run.stderr.startswith(NOTE.format(old))


def test_a_run_of_a_file_of_0_1_resumes_with_its_present_form(launcher, trained):
    _, workdir = trained
    run = launcher.train(workdir, *SMALL, "--tiny")
    assert run.wait() == 0, run.stderr
    assert f"{workdir} is done." in run.stdout


@pytest.mark.parametrize(
    ("module", "added"),
    [
        (image_folder, {"labels": None, "max_bad": 0}),
        (point_folder, {"labels": None, "max_bad": 0, "vertical": "z", "few_points": "repeat"}),
    ],
    ids=["image_folder", "point_folder"],
)
def test_folders_of_0_1_have_no_list_lack_no_file_and_repeat_points(module, added, capsys):
    now = module.get_config()
    found = upgraded(as_0_1(now, *added), "mine.py")
    now.data.update(added)
    assert found == now
    assert capsys.readouterr().err == NOTE.format("mine.py")
    parse(found)


def test_lengths_of_randaugment_were_pixels_in_0_1():
    now = imagenet.get_config()
    before = as_0_1(now).to_dict()
    changes = before["augment"]["randaugment"]
    del changes["unit"]
    changes |= {"cutout_pixels": int(changes.pop("cutout")), "translate_pixels": int(changes.pop("translate"))}
    assert upgraded(ConfigDict(before), "mine.py") == now


def test_a_baseline_of_0_1_has_no_vectors_of_modalities():
    now = imagenet_baselines.get_config("vit_b16")
    assert upgraded(as_0_1(now), "mine.py") == now


@pytest.mark.parametrize("module", [digits, image_folder, point_folder])
def test_a_config_of_this_version_is_returned_as_it_is_and_silently(module, capsys):
    config = module.get_config()
    assert upgraded(config, "mine.py") is config
    assert config == module.get_config()
    assert capsys.readouterr() == ("", "")


def test_the_config_given_is_left_as_it_was():
    given = as_0_1(digits.get_config())
    before = copy.deepcopy(given.to_dict())
    upgraded(given, "mine.py")
    assert given.to_dict() == before


@pytest.mark.parametrize(
    "values", [{}, {"data": 3}, {"data": {"source": "digits"}}, {"data": {"source": 3}, "model": 3}], ids=str
)
def test_what_is_not_a_complete_config_of_0_1_is_returned_as_it_is(values, capsys):
    config = ConfigDict(values)
    assert upgraded(config, "mine.py") is config
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data.source", "digit", "data.kind: unknown value 'digit'\n  expected: one of digits, "),
        ("optim.name", "adam", "optim.kind: unknown value 'adam'\n  expected: one of adamw, lamb"),
        ("train.label_smoothing", 1.0, "task.label_smoothing: expected finite number >= 0 and < 1, got 1.0"),
        ("model.num_latent", 3, "unknown key model.num_latent; did you mean model.num_latents?"),
        (
            "views",
            {"num_evaluation": 2, "stream_dropout": {}, "dropped": "zeroed"},
            "views.num_evaluation 2: stream image has 1",
        ),
    ],
)
def test_a_fault_in_a_config_of_0_1_is_reported_by_the_present_name(name, value, message):
    values = as_0_1(digits.get_config()).to_dict()
    *parents, leaf = name.split(".")
    (values[parents[0]] if parents else values)[leaf] = value
    with pytest.raises(Failure) as caught:
        parse(upgraded(ConfigDict(values), "mine.py"))
    assert str(caught.value).startswith(f"error[2] {message}")
