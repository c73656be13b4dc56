"""A config of two streams: a picture and a cloud of the same digit."""

from ml_collections import ConfigDict

from configs import mnist5k

FOURIER = {"kind": "fourier", "num_bands": 4}
IMAGE = {"kind": "affine", "rotate_degrees": 10.0, "shear": 0.1, "scale": 0.1, "translate": 0.08, "flip_probability": 0.0}
POINTS = {
    **{"kind": "points", "subset": "random", "rotate_degrees": 10.0, "point_scale": 0.01, "jitter": 0.01, "extent": None},
    **{"half_side": 1.0, "object_scale": 0.1, "object_translate": 0.1},
}


def get_config() -> ConfigDict:
    """That of configs/mnist5k.py, with the clouds beside the pictures."""
    values = mnist5k.get_config().to_dict()
    values["data"] |= {"kind": "mnist5k_image_points", "grid": (64,)}
    values["augment"] = {"image": IMAGE, "points": POINTS}
    values["model"]["modality_vectors"] = {"channels": 3, "init_scale": 0.02}
    values["model"]["positions"] = {
        "image": {**FOURIER, "max_resolution": (28.0, 28.0)},
        "points": {**FOURIER, "max_resolution": (28.0, 28.0, 2.0)},
    }
    values["views"]["stream_dropout"] = {"image": 0.2, "points": 0.3}
    return ConfigDict(values)
