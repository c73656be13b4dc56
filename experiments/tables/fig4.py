"""ImageNet: positions of the crop or of the whole picture. The paper says which of them overfit, and prints no number."""

from experiments import small_scale as small
from experiments.tables import Claim, Point, Score, Study, Table, both_splits, overfits

CROP, WHOLE = "positions of the crop", "positions of the whole picture"
FRAMES = {CROP: "crop", WHOLE: "image"}

TABLE = Table(
    full=Study(
        "ImageNet, top-1 accuracy in percent",
        both_splits(
            {n: Point("imagenet:fourier", {"augment.position_frame": frame}) for n, frame in FRAMES.items()}, "valid"
        ),
        note=small.TRAIN,
    ),
    small=Study(
        "Fashion-MNIST, random crops, ten epochs of 6,000 examples: accuracy in percent",
        both_splits({name: small.few_clothes({"augment": small.crops(frame)}) for name, frame in FRAMES.items()}),
        seeds=small.SEEDS,
        claims=(
            Claim("Positions of the crop generalise better", Score(CROP, "test"), Score(WHOLE, "test")),
            overfits("Positions of the whole picture overfit more", WHOLE, CROP),
        ),
        note=small.TRAIN,
    ),
)
