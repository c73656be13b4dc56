"""ImageNet: how many cross-attends, and whether they are between the latent Transformer's blocks or before them."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table

ARRANGEMENTS = {"at start": "at_start", "interleaved": "interleaved"}
# cross-attends: scores at start and interleaved, FLOPs
PAPER = {
    1: (76.7, 76.7, "404.3B"),
    2: (76.7, 76.5, "447.6B"),
    4: (75.9, 76.5, "534.1B"),
    8: (73.7, 78.0, "707.2B"),
}
PARAMETERS = {(1, "at start"): "41.1M", (1, "interleaved"): "42.1M"}  # all others: 44.9M
NOTES = {
    (1, "at start"): "the paper's 41.1M is its 42.1M less the classifier: with one cross-attend both are the same network"
}


def paper() -> tuple[Row, ...]:
    """The rows in the paper's order."""
    return tuple(
        Row(
            f"{count} ({where})",
            Point(f"imagenet:table6_{value}_{count}"),
            score,
            parameters=PARAMETERS.get((count, where), "44.9M"),
            flops=flops,
            note=NOTES.get((count, where), ""),
        )
        for count, (*scores, flops) in PAPER.items()
        for (where, value), score in zip(ARRANGEMENTS.items(), scores, strict=True)
    )


CLAIMS = (
    Claim(
        "Cross-attends between the blocks are ahead of those at the start", Score("4 (interleaved)"), Score("4 (at start)")
    ),
    Claim("More cross-attends between the blocks do better", Score("4 (interleaved)"), Score("1 (interleaved)")),
    Claim("More cross-attends at the start do worse", Score("1 (at start)"), Score("4 (at start)")),
)

TABLE = Table(
    page=16,
    full=Study(
        "ImageNet, top-1 accuracy on the validation set in percent", paper(), note="a row is the number of cross-attends"
    ),
    small=Study(
        "Fashion-MNIST, 4 blocks, one epoch: test accuracy in percent",
        tuple(
            Row(f"{count} ({where})", small.clothes({**small.DEEP, "model.num_cross_attends": count, **arranged}))
            for count in (1, 2, 4)
            for where, arranged in ((w, {"model.arrangement": value}) for w, value in ARRANGEMENTS.items())
        ),
        seeds=small.SEEDS,
        claims=CLAIMS,
        note="a row is the number of cross-attends",
    ),
)
