"""ImageNet: the latents' initial scale and the Fourier features. The paper draws the scores and prints none."""

from experiments import small_scale as small
from experiments.sweeping.axes import chained, fixed, sweep
from experiments.sweeps import fig6
from experiments.tables import Row, Study, figure, named

IN_SMALL = chained(
    fixed({}),
    sweep("model.latent_init_scale", (0.02, 0.1, 5.0)),
    sweep("model.positions.num_bands", (2, 4, 14)),
    sweep("model.positions.max_resolution", [(size, size) for size in (7.0, 14.0, 56.0)]),
)
ROWS = tuple(Row(named(changes), small.clothes(changes)) for changes in IN_SMALL)

TABLE = figure(
    18,
    "imagenet:fig6",
    fig6.get_sweep(),
    small=Study("Fashion-MNIST, one epoch: test accuracy in percent", ROWS, seeds=small.SEEDS),
)
