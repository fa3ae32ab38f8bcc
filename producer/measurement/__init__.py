"""Traces, what they add up to, and the circumstances they were taken in."""
