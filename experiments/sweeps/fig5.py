"""Figure 5 of the paper: the size of the ablation model, one setting at a time. Use with --config configs/imagenet.py:fig5.

The paper names the settings and the trend (bigger is better, but for the largest latent channels, which overfit), not the
values: these are powers of two around the base of 512 latents x 512 channels, 2 cross-attends, 4 self-attends a block.
"""

from experiments.sweeping.axes import chained, fixed, sweep, zipped

CROSS_ATTENDS = (1, 4, 8)


def get_sweep() -> list[dict]:
    """The base itself, then each setting with its other values; blocks are as many as cross-attends."""
    return chained(
        fixed({}),
        sweep("model.num_latents", (64, 128, 256, 1024)),
        sweep("model.latent_channels", (64, 128, 256, 1024)),
        sweep("model.num_self_attends_per_block", (1, 2, 8)),
        zipped(sweep("model.num_cross_attends", CROSS_ATTENDS), sweep("model.num_blocks", CROSS_ATTENDS)),
    )
