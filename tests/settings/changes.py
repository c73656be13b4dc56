"""Configs with other values, and what is said of a wrong one."""

import copy

import pytest
from ml_collections import ConfigDict

from perceiver_jax.errors import Code, Failure
from perceiver_jax.settings.config import parse

MISSING = object()


def with_changes(config: ConfigDict, changes: dict) -> ConfigDict:
    """The config with other values at some dotted names; MISSING takes a key away."""
    values = copy.deepcopy(config.to_dict())
    for name, value in changes.items():
        *parents, leaf = name.split(".")
        section = values
        for part in parents:
            section = section[part]
        if value is MISSING:
            del section[leaf]
        else:
            section[leaf] = value
    return ConfigDict(values)


def fault(config: ConfigDict, shrink: bool = False) -> str:
    """What is said of a config that is refused, without its code."""
    with pytest.raises(Failure) as caught:
        parse(config, shrink)
    assert caught.value.code == Code.CONFIG
    return str(caught.value).removeprefix("error[2] ")
