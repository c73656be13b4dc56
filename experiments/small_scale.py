"""The points of the small studies: the paper's questions on data that run on a laptop, a run in minutes.

Fashion-MNIST for pictures, KiCad's electronic parts for clouds, mixtures of instruments for sounds, digits with notes for
sound and film. Every run of a kind has the same data, recipe and length; rows change what they are about.
"""

from collections.abc import Mapping
from typing import Any

from configs import fashion_mnist, imagenet, imagenet_baselines, kicad, notes_and_digits
from experiments.tables import Point

Changes = Mapping[str, Any]

# One epoch, where the config has 50: flips alone and half of it at the full rate do better then.
SHORT = {
    "train.duration": "1 epochs",
    "optim.schedule.flat_fraction": 0.5,
    "augment.scale": 0.0,
    "augment.translate": 0.0,
}
SEEDS = (0, 1, 2)
TRAIN = "train: of the last augmented examples that were trained on, as they are logged"
BASELINES = "the baselines' sizes are ours, and the recipe is the Perceiver's, which may suit them less"

# As deep as the number of cross-attends needs that are interleaved.
DEEP = {"model.num_blocks": 4, "model.num_cross_attends": 4}


def _sections(file: Any) -> dict[str, Any]:
    return file.get_config().to_dict()


# The baselines see what the Perceiver sees; only their sizes fit the small pictures.
SEEN = {"positions": _sections(fashion_mnist)["model"]["positions"]}
_RESNET = dict(imagenet_baselines.RESNET50, stage_blocks=(2, 2), stem_channels=32)
_VIT = dict(imagenet_baselines.VIT_B16, channels=96, num_layers=4, num_heads=4, widening_factor=1, patch_size=4)
_TRANSFORMER = dict(imagenet_baselines.TRANSFORMER64, channels=32, num_layers=2, num_heads=1, remat="none")
RESNET = {"model": _RESNET | SEEN}
VIT = {"model": _VIT | SEEN}
# Every pixel is a token: so few examples take as many FLOPs as the Perceiver's epoch, and so few at once fit in memory.
TRANSFORMER = {
    "model": _TRANSFORMER | SEEN,
    "train.duration": "11000 examples",
    "optim.accumulation_steps": 4,
    "data.eval_batch_size": 50,
}


def clothes(changes: Changes | None = None) -> Point:
    """Fashion-MNIST for one epoch."""
    return Point("fashion_mnist", {**SHORT, **(changes or {})})


def few_clothes(changes: Changes) -> Point:
    """6,000 of its pictures for ten epochs, so that a model can overfit."""
    few = {
        "data.validation_examples": 54_000,
        "train.duration": "10 epochs",
        "train.eval_splits": ("validation", "test"),
        "train.eval_every": "10 epochs",
        "train.checkpoint_every": "10 epochs",
    }
    return clothes({**few, **changes})


def crops(frame: str) -> dict[str, Any]:
    """Half of a picture's area or more, resized, with positions in this frame; the whole picture for evaluation."""
    augment = _sections(imagenet)["augment"]
    crop = augment["crop"] | {"area": (0.5, 1.0), "min_object_covered": 0.0}
    return augment | {"crop": crop, "randaugment": None, "evaluation_crop": 1.0, "position_frame": frame}


SHAPES = {"positions": _sections(kicad)["model"]["positions"]}
GRID = {"data.grid": (22, 22)}  # 484 of a part's points
RESNET_OF_POINTS = {**GRID, "model": _RESNET | SHAPES}
TRANSFORMER_OF_POINTS = {**GRID, "model": _TRANSFORMER | SHAPES}
PLAIN = kicad.VARIANTS["plain"]


def vit_of_points(patch_size: int) -> dict[str, Any]:
    """A ViT whose tokens are patches of the grid on which points are at random."""
    return {**GRID, "model": _VIT | SHAPES | {"patch_size": patch_size}}


def parts(changes: Changes | None = None) -> Point:
    """KiCad's parts for 1,800 updates."""
    short = {"train.duration": "1800 steps", "train.eval_every": "600 steps"}
    return Point("kicad", {**short, **(changes or {})}, as_published=False)


def sounds(config: str) -> Point:
    """Mixtures of instruments, at the config's own length."""
    return Point(config, as_published=False)


_STREAMS = _sections(notes_and_digits)


def _alone(stream: str, other: str) -> dict[str, Any]:
    return {
        f"data.{other}": None,
        "model.positions": _STREAMS["model"]["positions"][stream],
        "model.modality_vectors": None,
        "views.stream_dropout": {},
        "augment": _STREAMS["augment"][stream],
    }


SOUND_ALONE, FILM_ALONE = _alone("audio", "video"), _alone("video", "audio")


def digits_and_notes(changes: Changes | None = None) -> Point:
    """Moving digits with notes, at the config's own length."""
    return Point("notes_and_digits", dict(changes or {}))
