"""Config files written for perceiver_jax 0.1, as this version would write them.

There the word that picks a kind was `source` for data and `name` for optimisers, every run had single labels and one view of
each example, RandAugment's lengths were pixels, and clouds repeated their points where they had too few.
"""

import sys
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

ADDED_TO_DATA: Mapping[str, Mapping[str, Any]] = {
    "image_folder": {"labels": None, "max_bad": 0},
    "point_folder": {"labels": None, "max_bad": 0, "vertical": "z", "few_points": "repeat"},
}


def upgraded(config: ConfigDict, path: str) -> ConfigDict:
    """The config itself, or, where it has `data.source`, its present form; reported on stderr."""
    values = config.to_dict()
    sections = [values.get(name) for name in ("data", "model", "optim", "train")]
    if not all(isinstance(section, dict) for section in sections) or "source" not in values["data"]:
        return config
    data, model, optim, train = sections
    kind = data.pop("source")
    values["data"] = {"kind": kind, "sampling": "shuffle"} | data | ADDED_TO_DATA.get(kind, {})
    values.setdefault("views", {"num_evaluation": 1, "stream_dropout": {}, "dropped": "zeroed"})
    if "name" in optim:
        values["optim"] = {"kind": optim.pop("name")} | optim
    if "label_smoothing" in train:
        values["task"] = {"kind": "single_label", "label_smoothing": train.pop("label_smoothing")}
    augment = values["augment"] if isinstance(values.get("augment"), dict) else {}
    changes = augment.get("randaugment")
    if isinstance(changes, dict) and {"cutout_pixels", "translate_pixels"} <= changes.keys():
        lengths = {name: 1.0 * changes.pop(f"{name}_pixels") for name in ("cutout", "translate")}
        augment["randaugment"] = changes | {"unit": "pixels"} | lengths
    model.setdefault("matmul_precision", "float32")
    if "kind" in model and model["kind"] == "perceiver":
        model["modality_vectors"] = None
    if isinstance(values.get("mesh"), dict):
        values["mesh"].setdefault("virtual_shards", None)
    print(f"note: config {path} is written for perceiver_jax 0.1; read as this version would write it", file=sys.stderr)
    return ConfigDict(values)
