"""ImageNet: weights shared between the blocks, and between all cross-attends but the first, or not at all."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table, both_splits, overfits

# name, config, scores on the validation and the training set, parameters
PAPER = (
    ("No weight sharing", "imagenet:table7_unshared", 72.9, 87.7, "326.2M"),
    ("W/ weight sharing", "imagenet:table7_shared", 78.0, 79.5, "44.9M"),
)
SPLITS = {"valid": "test", "train": "train"}

NONE, SHARED = (name for name, *_ in PAPER)
CLAIMS = (
    Claim("Shared weights generalise better", Score(SHARED, "valid"), Score(NONE, "valid")),
    overfits("Without sharing a model overfits more", NONE, SHARED, "valid"),
)


def paper() -> tuple[Row, ...]:
    """Two rows of each model."""
    return tuple(
        Row(name, Point(config), score, column=of, parameters=parameters, flops="707.2B", split=split)
        for name, config, *scores, parameters in PAPER
        for (of, split), score in zip(SPLITS.items(), scores, strict=True)
    )


TABLE = Table(
    page=17,
    full=Study("ImageNet, top-1 accuracy in percent", paper(), note=small.TRAIN),
    small=Study(
        "Fashion-MNIST, 4 blocks, ten epochs of 6,000 examples: accuracy in percent",
        both_splits(
            {
                name: small.few_clothes({**small.DEEP, "model.sharing": sharing})
                for name, sharing in ((NONE, "none"), (SHARED, "paper"))
            },
            "valid",
        ),
        seeds=small.SEEDS,
        claims=CLAIMS,
        note=small.TRAIN,
    ),
)
