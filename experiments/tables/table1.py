"""ImageNet: the Perceiver beside a ResNet, a ViT and a Transformer that get the same Fourier features."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table

CLAIMS = tuple(
    Claim(f"A Perceiver does at least as well as {other}", Score("Perceiver (FF)"), Score(row))
    for other, row in (
        ("a ResNet with the same Fourier features", "ResNet (FF)"),
        ("a ViT with the same Fourier features", "ViT (FF)"),
        ("a Transformer of pixels with the same Fourier features", "Transformer (FF)"),
    )
)

TABLE = Table(
    page=4,
    full=Study(
        "ImageNet, top-1 accuracy on the validation set in percent",
        (
            Row("ResNet-50", None, 77.6, note="of pixels alone; He et al. 2016, the figure from Cubuk et al. 2020"),
            Row("ViT-B-16", None, 77.9, note="of pixels alone; Dosovitskiy et al. 2021"),
            Row("ResNet-50 (FF)", Point("imagenet_baselines:resnet50"), 73.5),
            Row("ViT-B-16 (FF)", Point("imagenet_baselines:vit_b16"), 76.7),
            Row("Transformer (64x64, FF)", Point("imagenet_baselines:transformer64"), 57.0),
            Row("Perceiver (FF)", Point("imagenet:fourier"), 78.0),
        ),
    ),
    small=Study(
        "Fashion-MNIST, one epoch: test accuracy in percent",
        (
            Row("ResNet (FF)", small.clothes(small.RESNET)),
            Row("ViT (FF)", small.clothes(small.VIT)),
            Row("Transformer (FF)", small.clothes(small.TRANSFORMER)),
            Row("Perceiver (FF)", small.clothes()),
        ),
        seeds=small.SEEDS,
        note=small.BASELINES,
        claims=CLAIMS,
    ),
)
