"""28 x 28 handwritten digits as clouds of 256 points sampled where the ink is: a Perceiver of points in minutes on a laptop.

Not in the paper, and a sample: never quote its accuracy as MNIST's. A simple baseline on the same clouds and split: a random
forest on counts of points in 12 x 12 squares, 92.7 % test accuracy. Here: 95.9, the mean of seeds 0, 1, 2
(95.3, 96.6, 95.8).

    python -m experiments.train --config configs/mnist5k_points.py --workdir runs/mnist5k_points
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        dict(
            seed=0,
            task=dict(kind="single_label", label_smoothing=0.1),
            model=dict(
                kind="perceiver",
                num_latents=32,
                latent_channels=64,
                latent_init_scale=1.0,  # the paper's 0.02 learns too slowly for so short a run: latents stay alike for long
                num_blocks=2,
                num_cross_attends=2,
                num_self_attends_per_block=2,
                arrangement="interleaved",
                sharing="paper",
                num_cross_attend_heads=1,
                num_self_attend_heads=4,
                widening_factor=1,
                modality_vectors=None,
                positions=dict(kind="fourier", num_bands=8, max_resolution=(28.0, 28.0, 2.0)),  # z carries no information
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="mnist5k_points",
                grid=(256,),
                batch_size=64,
                eval_batch_size=250,
                validation_examples=0,
                sampling="shuffle",
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="points",
                subset="random",  # 256 of a digit's 512 points
                rotate_degrees=10.0,
                point_scale=0.01,
                jitter=0.01,
                extent=None,
                half_side=1.0,
                object_scale=0.1,
                object_translate=0.1,
            ),
            optim=dict(
                kind="adamw",  # ahead of LAMB in runs of minutes
                learning_rate=0.003,
                schedule=dict(kind="flat_cosine", flat_fraction=0.5),
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.05,
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=None,
            ),
            train=dict(
                duration="1200 steps",
                log_every="50 steps",
                eval_every="400 steps",
                eval_splits=("test",),
                checkpoint_every="400 steps",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
