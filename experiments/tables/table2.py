"""ImageNet and ImageNet with its pixels shuffled, one way for all pictures, after they have their positions."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table

ORDER = {"model.permutation_seed": 0}
# name, config of raw and of permuted pictures, scores of both, the input's receptive field in pixels
PAPER = (
    ("ResNet-50 (FF)", "imagenet_baselines:resnet50", "imagenet_baselines:permuted_resnet50", 73.5, 39.4, 49),
    ("ViT-B-16 (FF)", "imagenet_baselines:vit_b16", "imagenet_baselines:permuted_vit_b16", 76.7, 61.7, 256),
    (
        "Transformer (64x64) (FF)",
        "imagenet_baselines:transformer64",
        "imagenet_baselines:permuted_transformer64",
        57.0,
        57.0,
        4_096,
    ),
    ("Perceiver (FF)", "imagenet:fourier", "imagenet:permuted", 78.0, 78.0, 50_176),
    ("Perceiver (learned pos.)", "imagenet:learned", "imagenet:learned", 70.9, 70.9, 50_176),
)
SAME = "the Perceiver computes the same function of inputs in any order: permuted is the same run as raw"

SMALL = (
    ("ResNet (FF)", small.RESNET),
    ("ViT (FF)", small.VIT),
    ("Transformer (FF)", small.TRANSFORMER),
)
PERCEIVERS = (
    ("Perceiver (FF)", {}),
    # As many channels as the Fourier features have.
    ("Perceiver (learned pos.)", {"model.positions": {"kind": "learned", "channels": 34, "init_scale": 1.0}}),
)


def paper() -> tuple[Row, ...]:
    """Two rows of each model."""
    rows = []
    for name, raw, permuted, score, permuted_score, field in PAPER:
        more = {"input RF": field}
        rows += [
            Row(name, Point(raw), score, column="raw", more=more),
            Row(name, Point(permuted), permuted_score, column="permuted", more=more),
        ]
    return tuple(rows)


def in_small() -> tuple[Row, ...]:
    """The same of small models."""
    rows = []
    for name, changes in SMALL:
        rows += [Row(name, small.clothes(changes), column="raw")]
        rows += [Row(name, small.clothes({**changes, **ORDER}), column="permuted")]
    for name, changes in PERCEIVERS:
        rows += [Row(name, small.clothes(changes), column=column) for column in ("raw", "permuted")]
    return tuple(rows)


CLAIMS = (
    *(
        Claim(f"Shuffled pixels cost {name} accuracy", Score(row, "raw"), Score(row, "permuted"))
        for name, row in (("a ResNet", "ResNet (FF)"), ("a ViT", "ViT (FF)"))
    ),
    Claim(
        "Shuffled pixels cost a Transformer of pixels nothing",
        Score("Transformer (FF)", "raw"),
        Score("Transformer (FF)", "permuted"),
        alike=True,
    ),
    Claim(
        "With shuffled pixels a Perceiver is ahead of a ViT",
        Score("Perceiver (FF)", "permuted"),
        Score("ViT (FF)", "permuted"),
    ),
    Claim(
        "Fourier features are ahead of learned positions",
        Score("Perceiver (FF)", "raw"),
        Score("Perceiver (learned pos.)", "raw"),
    ),
)

TABLE = Table(
    page=5,
    full=Study("ImageNet and permuted ImageNet, top-1 accuracy on the validation set in percent", paper(), note=SAME),
    small=Study(
        "Fashion-MNIST and permuted Fashion-MNIST, one epoch: test accuracy in percent",
        in_small(),
        seeds=small.SEEDS,
        note=f"{small.BASELINES}; {SAME}",
        claims=CLAIMS,
    ),
)
