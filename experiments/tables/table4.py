"""ModelNet40: the Perceiver of points beside models of a grid, on which the points are placed at random."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table

PATCHES = {2: 78.9, 4: 73.4, 8: 65.3, 16: 59.6}

CLAIMS = (
    *(
        Claim(f"A Perceiver of points is ahead of {name}", Score("Perceiver"), Score(row))
        for name, row in (
            ("a ResNet of points placed on a grid", "ResNet (FF)"),
            ("a ViT of them", "ViT-2 (FF)"),
            ("a Transformer of them", "Transformer (22x22)"),
        )
    ),
    Claim("A ViT of smaller patches does better", Score("ViT-2 (FF)"), Score("ViT-8 (FF)")),
    Claim("Small changes of size and place help", Score("Perceiver"), Score("Perceiver, no augmentation")),
)

TABLE = Table(
    page=9,
    full=Study(
        "ModelNet40, top-1 accuracy on the test split in percent",
        (
            Row("PointNet++", None, 91.9, note="Qi et al. 2017; with features and augmentation that the others lack"),
            Row("ResNet-50 (FF)", Point("modelnet40_baselines:resnet50"), 66.3),
            *(Row(f"ViT-B-{size} (FF)", Point(f"modelnet40_baselines:vit{size}"), score) for size, score in PATCHES.items()),
            Row("Transformer (44x44)", Point("modelnet40_baselines:transformer44"), 82.1),
            Row("Perceiver", Point("modelnet40:perceiver"), 85.7),
        ),
        best_by_test=True,
    ),
    small=Study(
        "electronic parts of KiCad, test accuracy in percent",
        (
            Row("ResNet (FF)", small.parts(small.RESNET_OF_POINTS)),
            *(Row(f"ViT-{size} (FF)", small.parts(small.vit_of_points(size))) for size in (2, 4, 8)),
            Row("Transformer (22x22)", small.parts(small.TRANSFORMER_OF_POINTS)),
            Row("Perceiver", small.parts()),
            Row("Perceiver, no augmentation", small.parts(small.PLAIN)),
        ),
        seeds=small.SEEDS,
        best_by_test=True,
        note=small.BASELINES,
        claims=CLAIMS,
    ),
)
