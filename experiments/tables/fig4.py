"""ImageNet: positions of the crop or of the whole picture. The paper says which of them overfit, and prints no number."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Row, Score, Study, Table

FRAMES = {"of the crop": "crop", "of the whole picture": "image"}

CROP, WHOLE = (f"positions {name}" for name in FRAMES)
CLAIMS = (
    Claim("Positions of the crop generalise better", Score(CROP, "test"), Score(WHOLE, "test")),
    Claim(
        "Positions of the whole picture overfit more (train less test)",
        Score(WHOLE, "train", above="test"),
        Score(CROP, "train", above="test"),
    ),
)

TABLE = Table(
    full=Study(
        "ImageNet, top-1 accuracy in percent",
        tuple(
            Row(f"positions {name}", Point("imagenet:fourier", {"augment.position_frame": frame}), column=of, split=split)
            for name, frame in FRAMES.items()
            for of, split in {"valid": "test", "train": "train"}.items()
        ),
        note=small.TRAIN,
    ),
    small=Study(
        "Fashion-MNIST, random crops, ten epochs of 6,000 examples: accuracy in percent",
        tuple(
            Row(f"positions {name}", small.few_clothes({"augment": small.crops(frame)}), column=of, split=split)
            for name, frame in FRAMES.items()
            for of, split in small.BOTH.items()
        ),
        seeds=small.SEEDS,
        claims=CLAIMS,
        note=small.TRAIN,
    ),
)
