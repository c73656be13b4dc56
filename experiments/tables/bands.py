"""ModelNet40: the Fourier features of points. The paper says that more bands overfit, and prints no number."""

from experiments import small_scale as small
from experiments.sweeping.axes import chained, fixed, sweep
from experiments.tables import Claim, Point, Score, Study, Table, both_splits, named, overfits

BANDS, MAXIMUM = "model.positions.num_bands", "model.positions.max_resolution"


def maxima(*values: float) -> list[dict]:
    """The same maximum for the three axes."""
    return sweep(MAXIMUM, [(value, value, value) for value in values])


FULL = chained(fixed({}), sweep(BANDS, (16, 256)), maxima(224.0, 4480.0))
IN_SMALL = chained(fixed({}), sweep(BANDS, (2, 4, 16)), maxima(4.0, 64.0))

CLAIMS = (
    overfits("More bands overfit more", "num_bands 16", "base"),
    Claim("More bands do worse", Score("base", "test"), Score("num_bands 16", "test")),
    overfits("A higher maximum overfits more", "max_resolution 64x64x64", "base"),
)

TABLE = Table(
    full=Study(
        "ModelNet40, top-1 accuracy in percent",
        both_splits({named(changes): Point("modelnet40:perceiver", changes) for changes in FULL}),
        note=f"the values are ours; {small.TRAIN}",
    ),
    small=Study(
        "electronic parts of KiCad: accuracy in percent",
        both_splits({named(changes): small.parts(changes) for changes in IN_SMALL}),
        seeds=small.SEEDS,
        claims=CLAIMS,
        note=small.TRAIN,
    ),
)
