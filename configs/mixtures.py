"""Mixtures of instruments and drums, 25 classes, up to four at once: AudioSet's path on real sounds that anyone can get.

Not in the paper. Debian's packages fluid-soundfont-gm, timgm6mb-soundfont, hydrogen-data and hydrogen-drumkits hold the
sounds, which `scripts.mixtures.write` mixes and writes in AudioSet's own layout; no instrument is in both splits. A model
gets as many samples as in the paper, 61,440, but of 16,000 a second, which is 3.84 of a clip's 4 seconds: as a spectrogram
of 60 x 64 values or, with `:raw`, as 480 pieces of 128 samples.

    python -m scripts.mixtures.write --drumkits /usr/share/hydrogen/data/drumkits --output mixtures \
        --soundfonts /usr/share/sounds/sf2/FluidR3_GM.sf2,/usr/share/sounds/sf2/TimGM6mb.sf2
    python -m scripts.prepare_audioset --segments mixtures/balanced_train_segments.csv,mixtures/eval_segments.csv \
        --labels mixtures/class_labels_indices.csv --clips mixtures/clips --data_dir ~/mixtures --allow_partial
    python -m experiments.train --config configs/mixtures.py --config.data.data_dir=~/mixtures --workdir runs/mixtures
"""

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

VARIANTS = {
    "mel": {},
    "raw": {
        "data.audio": dict(kind="raw", sample_rate=16_000, num_pieces=480, samples_per_piece=128),
        "model.positions": dict(kind="fourier", num_bands=32, max_resolution=(480.0,)),
        "augment": dict(kind="gain", decibels=6.0, mixup_alpha=None),
    },
}


def get_config(variant: str = "mel") -> ConfigDict:
    config = ConfigDict(
        dict(
            seed=0,
            task=dict(kind="multi_label"),
            model=dict(
                kind="perceiver",
                num_latents=24,
                latent_channels=96,
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
                positions=dict(kind="fourier", num_bands=16, max_resolution=(60.0, 64.0)),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="audioset",
                data_dir="mixtures",
                subset="balanced",
                audio=dict(
                    kind="mel",
                    sample_rate=16_000,
                    num_frames=60,
                    window=2048,
                    hop=1024,
                    num_bands=64,
                    band_edges=(80.0, 7600.0),
                    offset=0.01,  # about the noise of a room: below it nothing is heard
                    mean=1.5,  # of all values
                    std=2.4,
                    positions="time_frequency",
                ),
                video=None,
                sampling="shuffle",
                batch_size=32,
                eval_batch_size=64,
                validation_examples=0,
                num_workers=2,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=2, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="spec_augment", frequency_masks=1, frequency_mask=12, time_masks=1, time_mask=6, mixup_alpha=None
            ),
            optim=dict(
                kind="adamw",
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
                duration="10 epochs",
                log_every="50 steps",
                eval_every="5 epochs",
                eval_splits=("test",),
                checkpoint_every="1 epochs",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
    return with_variant(config, VARIANTS, variant)
