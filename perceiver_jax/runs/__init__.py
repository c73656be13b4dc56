"""A run: its directory, the training loop, and its use afterwards."""
