"""ImageNet: the size of a smaller model, one setting at a time. The paper draws the scores and prints none."""

from experiments import small_scale as small
from experiments.sweeps import fig5
from experiments.tables import Point, Row, Study, Table

BASE = {"model.sharing": "none"}  # as in the paper
AXES = {
    "model.num_latents": (8, 16, 64),
    "model.latent_channels": (32, 64, 192),
    "model.num_self_attends_per_block": (1, 4),
    "model.num_cross_attends": (1, 4),
}


def in_small() -> tuple[Row, ...]:
    """The base, then each setting with its other values; blocks are as many as cross-attends."""
    runs = [{}]
    for name, values in AXES.items():
        follow = ("model.num_blocks",) if name == "model.num_cross_attends" else ()
        runs += [dict.fromkeys((name, *follow), value) for value in values]
    return tuple(Row(small.named(changes), small.clothes({**BASE, **changes})) for changes in runs)


TABLE = Table(
    page=17,
    full=Study(
        "ImageNet, top-1 accuracy on the validation set in percent",
        tuple(Row(small.named(changes), Point("imagenet:fig5", changes)) for changes in fig5.get_sweep()),
        note="the paper draws curves without numbers and does not say which values: they are ours",
    ),
    small=Study("Fashion-MNIST, one epoch: test accuracy in percent", in_small(), seeds=small.SEEDS),
)
