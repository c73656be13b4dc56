"""ImageNet: the latents' initial scale and the Fourier features. The paper draws the scores and prints none."""

from experiments import small_scale as small
from experiments.sweeping.axes import chained, fixed, sweep
from experiments.sweeps import fig6
from experiments.tables import Claim, Row, Score, Study, figure, named

IN_SMALL = chained(
    fixed({}),
    sweep("model.latent_init_scale", (0.02, 0.1, 5.0)),
    sweep("model.positions.num_bands", (2, 4, 14)),
    sweep("model.positions.max_resolution", [(size, size) for size in (7.0, 14.0, 56.0)]),
)
ROWS = tuple(Row(named(changes), small.clothes(changes)) for changes in IN_SMALL)

CLAIMS = (
    Claim("More bands do better", Score("num_bands 14"), Score("num_bands 2")),
    Claim("A higher maximum resolution does better, up to that of the pixels", Score("base"), Score("max_resolution 7x7")),
    Claim("Beyond the resolution of the pixels nothing is gained", Score("max_resolution 56x56"), Score("base"), alike=True),
    Claim("A large initial scale of the latents does worse", Score("latent_init_scale 0.1"), Score("latent_init_scale 5.0")),
)

TABLE = figure(
    18,
    "imagenet:fig6",
    fig6.get_sweep(),
    small=Study("Fashion-MNIST, one epoch: test accuracy in percent", ROWS, seeds=small.SEEDS, claims=CLAIMS),
)
