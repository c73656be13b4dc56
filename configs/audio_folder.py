"""Any folder of sounds, one folder per class: a moderate Perceiver of log-mel spectrograms of 1.28 seconds.

Not in the paper. FOLDER/train/CLASS/* beside FOLDER/test/CLASS/* (or val, or validation), or FOLDER/CLASS/*, of which a part
is held out as the split test. Sounds: .wav .flac .ogg .mp3 .m4a and others; films give theirs. Sounds of any sample rate
and number of channels become mono at data.audio.sample_rate. Training takes a random part of each, evaluation four.

    python -m experiments.train --config configs/audio_folder.py --config.data.data_dir=FOLDER --workdir runs/sounds

With `:multi_label` each of the sounds has any number of labels: FOLDER/labels.csv has a line `file,label;label` for each.
`:raw` is of the waveform itself, in 480 pieces.
"""

from ml_collections import ConfigDict

from perceiver_jax.settings.config import with_variant

VARIANTS = {
    "folders": {},
    "multi_label": {"task": dict(kind="multi_label"), "data.labels": "labels.csv"},
    "raw": {
        "data.audio": dict(kind="raw", sample_rate=48_000, num_pieces=480, samples_per_piece=128),
        "model.positions": dict(kind="fourier", num_bands=64, max_resolution=(480.0,)),
        "augment": dict(kind="gain", decibels=6.0, mixup_alpha=None),
    },
}


def get_config(variant: str = "folders") -> ConfigDict:
    config = ConfigDict(
        dict(
            seed=0,
            task=dict(kind="single_label", label_smoothing=0.1),
            model=dict(
                kind="perceiver",
                num_latents=128,
                latent_channels=256,
                latent_init_scale=0.02,
                num_blocks=2,
                num_cross_attends=2,
                num_self_attends_per_block=4,
                arrangement="interleaved",
                sharing="paper",
                num_cross_attend_heads=1,
                num_self_attend_heads=8,
                widening_factor=1,
                modality_vectors=None,
                positions=dict(kind="fourier", num_bands=32, max_resolution=(60.0, 80.0)),
                head="mean_linear",
                compute_dtype="float32",
                matmul_precision="float32",
                remat="none",
            ),
            data=dict(
                kind="recording_folder",
                data_dir="sounds",
                labels=None,
                test_percent=20.0,
                max_bad=10,
                audio=dict(
                    kind="mel",
                    sample_rate=48_000,
                    num_frames=60,
                    window=2048,
                    hop=1024,
                    num_bands=80,
                    band_edges=(80.0, 7600.0),
                    offset=1e-6,
                    mean=-4.0,  # about those of all values of everyday sounds
                    std=4.0,
                    positions="time_frequency",
                ),
                video=None,
                sampling="shuffle",
                batch_size=32,
                eval_batch_size=64,
                validation_examples=0,
                num_workers=0,
                prefetch_batches=4,
            ),
            views=dict(num_evaluation=4, stream_dropout={}, dropped="zeroed"),
            augment=dict(
                kind="spec_augment", frequency_masks=1, frequency_mask=20, time_masks=2, time_mask=6, mixup_alpha=None
            ),
            optim=dict(
                kind="adamw",
                learning_rate=0.001,
                schedule=dict(kind="flat_cosine", flat_fraction=0.5),
                b1=0.9,
                b2=0.999,
                eps=1e-6,
                weight_decay=0.1,
                clip_norm=10.0,
                accumulation_steps=1,
                ema_decay=None,
            ),
            train=dict(
                duration="60 epochs",
                log_every="20 steps",
                eval_every="5 epochs",
                eval_splits=("test",),
                checkpoint_every="5 epochs",
                keep_checkpoints=2,
            ),
            mesh=dict(model=1, inputs=1, virtual_shards=None),
        )
    )
    return with_variant(config, VARIANTS, variant)
