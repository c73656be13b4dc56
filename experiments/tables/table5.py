"""ImageNet: cross-attends alone, of weights of their own, without a latent Transformer."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table

TABLE = Table(
    page=16,
    full=Study(
        "ImageNet, top-1 accuracy on the validation set in percent",
        (
            Row("4", Point("imagenet:table5_4"), 39.4, parameters="12.7M", flops="173.1B"),
            Row("8", Point("imagenet:table5_8"), 45.3, parameters="23.8M", flops="346.1B"),
            Row(
                "12",
                Point("imagenet:table5_12"),
                "OOM",
                parameters="34.9M",
                flops="519.2B",
                note="the authors ran out of memory on 64 TPUs",
            ),
        ),
        note="a row is the number of cross-attends",
    ),
    small=Study(
        "Fashion-MNIST, one epoch: test accuracy in percent",
        tuple(
            Row(
                str(count),
                small.clothes({"model.num_blocks": 0, "model.num_cross_attends": count, "model.sharing": "none"}),
            )
            for count in (1, 2, 4)
        ),
        seeds=small.SEEDS,
        claims=(Claim("Without a latent Transformer more cross-attends do better", Score("4"), Score("1")),),
        note="a row is the number of cross-attends",
    ),
)
