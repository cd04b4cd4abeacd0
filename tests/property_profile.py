"""How hypothesis searches here: no example has a limit of time (a machine that stalls is no finding), and every run tries the same ones.

`--hypothesis-profile=search` tries others each time: for whoever looks for what nobody has thought of yet.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", _PATIENT)
settings.register_profile("same", _PATIENT, derandomize=True, database=None)
settings.load_profile("same")
