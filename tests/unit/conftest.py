"""How properties are tested: no deadline, because a busy machine is no bug. And what can't be tested here."""

from importlib.util import find_spec

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unit", deadline=None, max_examples=20, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")

# What draws charts has no wheel for a free-threaded Python.
collect_ignore_glob = [] if find_spec("vl_convert") else ["test_*charts*.py", "test_html.py"]
