"""A moving digit and a note tied to it, both noisy: a Perceiver of sound and film in minutes on a laptop.

Not in the paper. The construction of AV-MNIST with the motion of Moving MNIST: both parts are real, the pairs are ours. As
with AudioSet (section 4.2), the streams' inputs follow one another, made equally wide by a learned vector for each, and a
training example comes without the one or the other now and then.

    python -m experiments.train --config configs/notes_and_digits.py --workdir runs/notes_and_digits
    python -m experiments.evaluate --workdir runs/notes_and_digits --streams audio
    python -m experiments.evaluate --workdir runs/notes_and_digits --streams video
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
                modality_vectors=dict(channels=4, init_scale=0.02),
                positions=dict(
                    audio=dict(kind="fourier", num_bands=16, max_resolution=(8.0, 40.0)),
                    video=dict(kind="fourier", num_bands=4, max_resolution=(4.0, 7.0, 7.0)),
                ),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="notes_and_digits",
                sound_noise=6.0,
                film_noise=0.15,
                audio=dict(
                    kind="mel",
                    sample_rate=16_000,
                    num_frames=8,
                    window=4096,  # bins of 4 Hz: the lowest keys are 16 Hz apart
                    hop=2000,
                    num_bands=40,
                    band_edges=(200.0, 1200.0),
                    offset=0.001,
                    mean=3.2,  # of all values
                    std=0.4,
                    positions="time_frequency",
                ),
                video=dict(frame_rate=8.0, num_frames=8, size=(28, 28), patch=(2, 4, 4), read_side=28, values=(-1.0, 1.0)),
                batch_size=64,
                eval_batch_size=250,
                validation_examples=0,
                sampling="shuffle",
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout=dict(audio=0.3, video=0.3), dropped="zeroed"),
            augment=dict(
                audio=dict(kind="none"),
                video=dict(kind="none", evaluation_crop=1.0),
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
                duration="900 steps",
                log_every="50 steps",
                eval_every="300 steps",
                eval_splits=("test",),
                checkpoint_every="300 steps",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
