"""From a run to what a person reads: pure functions of the run, and nothing else."""
