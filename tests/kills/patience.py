"""Waits of the policy that are so long that a busy machine, or a bot that dies again and again, decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.world import Tempo

PATIENCE = {
    "staging": {"rollout_timeout": "300s", "trouble_within": "120s", "traffic_wait": "240s", "ci_wait": "240s", "max_latency_p95": "20s"},
    "prod": {"rollout_timeout": "300s", "trouble_within": "120s", "route_timeout": "240s", "max_latency_p95": "20s", "max_over_stable": "10000 %"},
    "dev": {"rollout_timeout": "300s", "trouble_within": "120s", "traffic_wait": "240s", "ci_wait": "240s"},
    "health": {"p95": "20s", "timeout": "20s"},
    "waiting": {"approval_expires": "1h", "hold_remind": "10m", "hold_escalate": "20m"},
    "scans": {"wait": "240s"},
}  # fmt: skip
"""Each wait ends by what is awaited: a bot that lives for a second at a time needs many lives, and a busy machine makes them long."""


ROOMY = ("500ms", "8s", "10s")
"""What answers may take under load: the median says it of a slow version, and a stalled machine moves only the few slowest."""


def patient(tempo: Tempo, **more: dict[str, Any]) -> Tempo:
    """Nothing but what the story is about decides how it ends. more: what a part of the policy says beside that."""
    policy = {name: dict(part) if isinstance(part, dict) else part for name, part in tempo.policy.items()}
    for part, values in (*PATIENCE.items(), *more.items()):
        policy[part] = {**policy[part], **values}
    return replace(tempo, policy=policy, load_within=ROOMY)
