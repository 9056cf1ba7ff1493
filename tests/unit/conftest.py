# SPDX-License-Identifier: GPL-2.0-only
"""What holds for the tests of this suite: the machine may be as slow as it likes."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
