"""The paper's questions in small, three seeds each. Use with --config configs/fashion_mnist.py.

Fourier features or learned positions (table 2), cross-attends interleaved or all at the start (table 6), weights shared or
not (table 7): one epoch each, two minutes, where the config's own length takes 80. So short a run is better off with flips
alone and half of it at the full rate.
"""

SHORT = {
    "train.duration": "1 epochs",
    "optim.schedule.flat_fraction": 0.5,
    "augment.scale": 0.0,
    "augment.translate": 0.0,
}
SEEDS = (0, 1, 2)
CHANGES = (
    {},
    {"model.positions": {"kind": "learned", "channels": 34, "init_scale": 1.0}},  # as many channels as the Fourier features
    {"model.arrangement": "at_start"},
    {"model.sharing": "none"},
)


def get_sweep() -> list[dict]:
    """Each change with each seed."""
    return [{"seed": seed, **changes, **SHORT} for changes in CHANGES for seed in SEEDS]
