"""Runs of the real commands, cheap enough for many, and small runs: what the campaign of faults has, for all tests."""

import os

from scripts.faults.processes import Launcher, Run, rest_collector
from scripts.faults.tiny import SMALL, config_of, problem_of

__all__ = ["SMALL", "Launcher", "Run", "config_of", "on_devices", "problem_of", "rest_collector"]


def on_devices(count: int) -> dict[str, str]:
    """The environment of a process with `count` devices, all of them this computer's processor."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={count}"
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
