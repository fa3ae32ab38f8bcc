"""What `producer` does: each experiment a function from a job and its options to what was measured."""
