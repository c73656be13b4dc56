"""Mixtures of real instruments and drums, written as AudioSet is, for configs/mixtures.py."""
