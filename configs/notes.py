"""Which key of an instrument? Real notes that come with pretty_midi, for a Perceiver of sound in minutes on a laptop.

Not in the paper. 80 instruments play 22 keys for a second; the test split is of instruments that training has not heard.
Logistic regression on the logarithm of the spectrum: 93.9 % test accuracy.

    python -m experiments.train --config configs/notes.py --workdir runs/notes
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
                positions=dict(kind="fourier", num_bands=32, max_resolution=(7.0, 128.0)),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="notes",
                audio=dict(
                    kind="mel",
                    sample_rate=16_000,
                    num_frames=7,
                    window=4096,  # bins of 4 Hz: the lowest keys are 8 Hz apart
                    hop=2048,
                    num_bands=128,  # each of 10 Hz at the lowest keys, of 50 Hz at the highest overtones
                    band_edges=(100.0, 3000.0),
                    offset=0.001,  # about the noise of the recordings
                    mean=-1.0,  # about those of all values
                    std=3.0,
                    positions="time_frequency",
                ),
                video=None,
                batch_size=64,
                eval_batch_size=220,
                validation_examples=0,
                sampling="shuffle",
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=1, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="spec_augment", frequency_masks=2, frequency_mask=16, time_masks=1, time_mask=3, mixup_alpha=None
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
                duration="600 steps",
                log_every="50 steps",
                eval_every="300 steps",
                eval_splits=("test",),
                checkpoint_every="300 steps",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
