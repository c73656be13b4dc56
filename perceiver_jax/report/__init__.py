"""What users see of a run: progress, log, curves, attention maps, tables. Nothing here needs JAX."""
