"""ImageNet: the latents' initial scale and the Fourier features. The paper draws the scores and prints none."""

from experiments import small_scale as small
from experiments.sweeps import fig6
from experiments.tables import Point, Row, Study, Table

AXES = {
    "model.latent_init_scale": (0.02, 0.1, 5.0),
    "model.positions.num_bands": (2, 4, 14),
    "model.positions.max_resolution": ((7.0, 7.0), (14.0, 14.0), (56.0, 56.0)),
}

TABLE = Table(
    page=18,
    full=Study(
        "ImageNet, top-1 accuracy on the validation set in percent",
        tuple(Row(small.named(changes), Point("imagenet:fig6", changes)) for changes in fig6.get_sweep()),
        note="the paper draws curves without numbers and does not say which values: they are ours",
    ),
    small=Study(
        "Fashion-MNIST, one epoch: test accuracy in percent",
        tuple(
            Row(small.named(changes), small.clothes(changes))
            for changes in ({}, *({name: value} for name, values in AXES.items() for value in values))
        ),
        seeds=small.SEEDS,
    ),
)
