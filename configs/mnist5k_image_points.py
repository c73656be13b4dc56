"""The same handwritten digit as a picture and as a point cloud in one input array: a Perceiver of two streams.

Not in the paper, and a sample: never quote its accuracy as MNIST's. As with AudioSet's sound and video (section 4.2), the
streams' inputs follow one another, made equally wide by a learned vector for each, and a training example comes
without one of them now and then, so that either alone is enough.

    python -m experiments.train --config configs/mnist5k_image_points.py --workdir runs/image_points
    python -m experiments.evaluate --workdir runs/image_points --streams points
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
                modality_vectors=dict(channels=4, init_scale=0.02),  # as the authors' code for sound and video
                positions=dict(
                    image=dict(kind="fourier", num_bands=8, max_resolution=(28.0, 28.0)),
                    points=dict(kind="fourier", num_bands=8, max_resolution=(28.0, 28.0, 2.0)),  # z carries no information
                ),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="mnist5k_image_points",
                grid=(256,),  # of the points
                batch_size=64,
                eval_batch_size=250,
                validation_examples=0,
                sampling="shuffle",
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout=dict(image=0.3, points=0.3), dropped="zeroed"),
            augment=dict(
                image=dict(kind="affine", rotate_degrees=10.0, shear=0.1, scale=0.1, translate=0.08, flip_probability=0.0),
                points=dict(
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
