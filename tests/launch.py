"""Runs of the real commands, cheap enough for many, and small runs: what the campaign of faults has, for all tests."""

from scripts.faults.processes import Launcher, Run, on_devices, rest_collector
from scripts.faults.tiny import SMALL, config_of, problem_of

__all__ = ["SMALL", "Launcher", "Run", "config_of", "on_devices", "problem_of", "rest_collector"]
