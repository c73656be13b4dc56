"""A run's config: its typed view, what the command line changes in it, and what is wrong with one."""
