"""The computer that a run is on: its disk, signals, memory and devices."""
