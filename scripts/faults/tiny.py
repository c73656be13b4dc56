"""The run that is disturbed: 60 steps of a small Perceiver on digits, a save every 5; seconds long on one core."""

from collections.abc import Iterable
from pathlib import Path

from perceiver_jax.runs.problem import Problem, resolve
from perceiver_jax.settings import files, overrides
from perceiver_jax.settings.config import Config, parse

ROOT = Path(__file__).parents[2]
CONFIG = "configs/digits.py"
STEPS, SAVE_EVERY = 60, 5
SMALL = [
    f"--config.{setting}"
    for setting in (
        "model.num_latents=4",
        "model.latent_channels=8",
        "model.num_blocks=0",
        "model.num_cross_attends=1",
        "model.num_self_attends_per_block=1",
        "model.num_self_attend_heads=2",
        "model.num_cross_attend_heads=1",
        "model.positions.num_bands=4",
        "model.latent_init_scale=0.02",
        "optim.kind=lamb",
        "optim.learning_rate=0.01",
        "data.batch_size=8",
        "data.eval_batch_size=450",
        "train.log_every=1 steps",
    )
]  # of configs/digits.py: one cross-attend and the head
TINY = [
    *SMALL,
    f"--config.train.duration={STEPS} steps",
    f"--config.train.checkpoint_every={SAVE_EVERY} steps",
    "--config.train.eval_every=20 steps",
    "--config.train.keep_checkpoints=3",
]
# Runs with all that is drawn at random in training, a running mean, and updates of two batches each.
_CHANCE = ["--config.optim.ema_decay=0.9", "--config.optim.accumulation_steps=2", *TINY]
MIXED = [
    *_CHANCE,
    "--config.augment={'kind': 'inception',"
    " 'crop': {'area': (0.3, 1.0), 'aspect': (0.75, 1.33), 'min_object_covered': 0.1, 'attempts': 10},"
    " 'flip_probability': 0.5, 'randaugment': None, 'evaluation_crop': 1.0, 'position_frame': 'crop',"
    " 'mix': {'kind': 'mixup_cutmix', 'mixup_alpha': 0.2, 'cutmix_alpha': 1.0}}",
]  # pictures, mixed
STREAMS_CONFIG = "configs/mnist5k_image_points.py"
STREAMS = [
    *(setting for setting in _CHANCE if "positions" not in setting and "eval_batch_size" not in setting),
    "--config.data.grid=(32,)",
    "--config.data.eval_batch_size=500",
    "--config.model.positions.image.num_bands=2",
    "--config.model.positions.points.num_bands=2",
]  # pictures and clouds of which one is left out at random


def last(settings: Iterable[str]) -> list[str]:
    """Of settings for the same field the later one."""
    return list({setting.partition("=")[0]: setting for setting in settings}.values())


def config_of(*settings: str, file: str = CONFIG, tiny: bool = False) -> Config:
    """The config of a file with flags as in `SMALL`, all of it shrunk where it is to be `tiny`."""
    given = {}
    for setting in settings:
        name, _, text = setting.removeprefix("--config.").partition("=")
        given[name] = overrides.read(text)
    values = files.load_config(ROOT / file, "")
    overrides.apply(values, given)
    return parse(values, shrink=tiny)


def problem_of(*settings: str, file: str = CONFIG, tiny: bool = False) -> Problem:
    """What a run of that config learns."""
    return resolve(config_of(*settings, file=file, tiny=tiny))
