"""Figure 6 of the paper: latents' initial scale and Fourier features. Use with --config configs/imagenet.py:fig6.

The paper names the settings and the trends (more bands help, and a higher maximum resolution up to the Nyquist rate; small
scales do, large ones may diverge), not the values.
"""

from experiments.sweeping.axes import chained, fixed, sweep


def get_sweep() -> list[dict]:
    """The base itself, then each setting with its other values."""
    return chained(
        fixed({}),
        sweep("model.latent_init_scale", (0.001, 0.1, 1.0)),
        sweep("model.positions.num_bands", (4, 8, 16, 32)),
        sweep("model.positions.max_resolution", [(size, size) for size in (14.0, 28.0, 56.0, 112.0)]),
    )
