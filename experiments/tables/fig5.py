"""ImageNet: the size of a smaller model, one setting at a time. The paper draws the scores and prints none."""

from experiments import small_scale as small
from experiments.sweeping.axes import chained, fixed, sweep, zipped
from experiments.sweeps import fig5
from experiments.tables import Claim, Row, Score, Study, figure, named

BASE = {"model.sharing": "none"}  # as in the paper
CROSS_ATTENDS = (1, 4)
IN_SMALL = chained(
    fixed({}),
    sweep("model.num_latents", (8, 16, 64)),
    sweep("model.latent_channels", (32, 64, 192)),
    sweep("model.num_self_attends_per_block", (1, 4)),
    zipped(sweep("model.num_cross_attends", CROSS_ATTENDS), sweep("model.num_blocks", CROSS_ATTENDS)),
)
ROWS = tuple(Row(named(changes), small.clothes({**BASE, **changes})) for changes in IN_SMALL)

CLAIMS = (
    Claim("More latents do better", Score("num_latents 64"), Score("num_latents 8")),
    Claim("More latent channels do better, up to a point", Score("latent_channels 64"), Score("latent_channels 32")),
    Claim("The most latent channels do worse", Score("base"), Score("latent_channels 192")),
    Claim(
        "More self-attends a block do better", Score("num_self_attends_per_block 4"), Score("num_self_attends_per_block 1")
    ),
    Claim("More cross-attends do better", Score("num_cross_attends 4"), Score("num_cross_attends 1")),
)

TABLE = figure(
    17,
    "imagenet:fig5",
    fig5.get_sweep(),
    small=Study("Fashion-MNIST, one epoch: test accuracy in percent", ROWS, seeds=small.SEEDS, claims=CLAIMS),
)
