"""Data sets of runs for tests: a whole config around settings of data; and batches, taken and compared."""

import contextlib
import itertools

import numpy as np

from configs.digits import get_config
from perceiver_jax.runs.problem import Problem, resolve
from perceiver_jax.settings.config import Config, parse

BATCHES = {
    "batch_size": 2,
    "eval_batch_size": 2,
    "validation_examples": 0,
    "sampling": "shuffle",
    "num_workers": 0,
    "prefetch_batches": 1,
}


def config_of(data, augment, **sections) -> Config:
    """A run on these data; `augment` is a section, or one for each stream. Its model takes any inputs."""
    base = parse(get_config())
    several = isinstance(augment, dict)
    free = {"positions": {name: {"kind": "none"} for name in augment} if several else {"kind": "none"}}
    free |= {"num_cross_attend_heads": 1, "modality_vectors": {"channels": 1, "init_scale": 1.0} if several else None}
    splits = ("validation", "test") if data.validation_examples else ("test",)
    given = {
        "data": data,
        "augment": augment,
        "model": base.model.model_dump() | free,
        "train": base.train.model_dump() | {"eval_splits": splits},
        "optim": base.optim.model_copy(update={"accumulation_steps": 1}),
    }
    kept = {name: getattr(base, name) for name in Config.model_fields}
    return Config(**kept | given | sections)


def problem_of(data, augment, left_out=(), masked=None, **sections) -> Problem:
    """What such a run learns."""
    return resolve(config_of(data, augment, **sections), left_out, masked)


def data_of(data, augment, left_out=(), masked=None, **sections):
    """The examples of such a run."""
    return problem_of(data, augment, left_out, masked, **sections).data


def views_of(num_evaluation=1, dropped="zeroed", **stream_dropout):
    """The section `views`."""
    return {"num_evaluation": num_evaluation, "stream_dropout": stream_dropout, "dropped": dropped}


def take(batches, count=None):
    """The next `count` batches, or all there are."""
    with contextlib.closing(batches):
        return list(itertools.islice(batches, count))


def flat(batch):
    """A batch's arrays by name, those of its streams by `inputs/stream` and `masks/stream`."""
    arrays = {}
    for name, value in batch.items():
        arrays |= {f"{name}/{stream}": one for stream, one in value.items()} if isinstance(value, dict) else {name: value}
    return arrays


def assert_equal(batches, others):
    """That two lists of batches have the same names and the same numbers."""
    assert len(batches) == len(others)
    for batch, other in zip(map(flat, batches), map(flat, others), strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])


def joined(batches):
    """The arrays of some batches, by name as `flat` has them, one after the other."""
    arrays = [flat(batch) for batch in batches]
    return {name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]}
