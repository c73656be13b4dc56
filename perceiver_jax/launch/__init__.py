"""Many processes at work: commands that are run side by side on this machine, or by Slurm."""
