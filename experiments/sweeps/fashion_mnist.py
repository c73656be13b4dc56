"""The paper's questions in small, three seeds each. Use with --config configs/fashion_mnist.py.

Fourier features or learned positions (table 2), cross-attends interleaved or all at the start (table 6), weights shared or
not (table 7): one epoch each, two minutes, where the config's own length takes 80. So short a run is better off with flips
alone and half of it at the full rate.
"""

from experiments.sweeping.axes import fixed, product, seeds, sweep

SHORT = {
    "train.duration": "1 epochs",
    "optim.schedule.flat_fraction": 0.5,
    "augment.scale": 0.0,
    "augment.translate": 0.0,
}
VARIANTS = (":fourier", ":learned", ":at_start", ":unshared")


def get_sweep() -> list[dict]:
    """Each variant with each seed."""
    return product(sweep("config", VARIANTS), seeds(3), fixed(SHORT))
