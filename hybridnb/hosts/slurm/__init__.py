"""Slurm as a scheduler: a dialect of pure functions, and the queue that speaks it over any transport."""
