"""How properties are tested: no deadline, because a busy machine is no bug."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unit", deadline=None, max_examples=20, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")
