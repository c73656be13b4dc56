"""Config files written for perceiver_jax 0.1, as this version would write them.

There the word that picks a kind was `source` for data and `name` for optimisers, every run had single labels and one view of
each example, and clouds repeated their points where they had too few.
"""

import sys
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

ADDED_TO_DATA: Mapping[str, Mapping[str, Any]] = {
    "image_folder": {"labels": None, "max_bad": 0},
    "point_folder": {"labels": None, "max_bad": 0, "few_points": "repeat"},
}


def upgraded(config: ConfigDict, path: str) -> ConfigDict:
    """The config itself, or where it has `data.source` what it means; says so on stderr."""
    values = config.to_dict()
    data = values["data"] if "data" in values else None
    if not isinstance(data, dict) or "source" not in data:
        return config
    values["data"] = {"kind": data.pop("source")} | data
    if values["data"]["kind"] in ADDED_TO_DATA:
        values["data"] |= ADDED_TO_DATA[values["data"]["kind"]]
    values["views"] = {"num_evaluation": 1, "stream_dropout": {}}
    if isinstance(values.get("optim"), dict) and "name" in values["optim"]:
        values["optim"] = {"kind": values["optim"].pop("name")} | values["optim"]
    if isinstance(values.get("train"), dict) and "label_smoothing" in values["train"]:
        values["task"] = {"kind": "single_label", "label_smoothing": values["train"].pop("label_smoothing")}
    if isinstance(values.get("model"), dict) and values["model"].get("kind") == "perceiver":
        values["model"]["modality_vectors"] = None
    print(f"note: config {path} is written for perceiver_jax 0.1; read as this version would write it", file=sys.stderr)
    return ConfigDict(values)
