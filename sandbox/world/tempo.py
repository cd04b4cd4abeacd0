"""How long things take in the sandbox: short, so that a story fits into a minute, or as long as the runbook wants them.

Besides addresses this is all in which the sandbox's configuration differs from production's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BESIDE = ("3s", "10s", "20s")
"""fast: three scrapes, so that one may be late on a busy machine; two are enough for a rate."""

SUITES = ("api", "orders", "schema", "old-queries")
EVERYTHING = (*SUITES, "load")

WEIGHTS = (5, 25, 100)

NO_TRIGGERS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Tempo:
    """policy: what stands in forge.yaml. window, interval: of the recording rules and of Prometheus' scrapes.

    time_scale: real seconds per second of the cluster's own. traffic_per_s, production_per_s: customers' requests in staging and in prod.
    load_for, suite_timeout, start_within: of the shop's Jobs. load_within: what p50, p95 and p99 are to be under that load.
    validates: which of its suites and its load there are; for who looks at other things, fewer. beside: windows of the rules that
    production reads besides: fast, short, long. database: whether the shop is said to have one, without a backup of which nobody may
    release it. backups: whether it can be backed up and restored; the shop's orders are then written into it, too. dev: whether the bot
    knows of dev, deploys what is green there, and asks for it before staging. ci_s: how long developers' CI takes, in seconds.
    """

    window: str
    interval: str
    time_scale: float
    traffic_per_s: float
    production_per_s: float
    notice: str = ""
    load_for: str = "3s"
    load_within: tuple[str, str, str] = ("100ms", "400ms", "1s")
    suite_timeout: str = "60s"
    start_within: str = "30s"
    validates: Sequence[str] = EVERYTHING
    beside: tuple[str, str, str] = ("30s", "5m", "1h")
    database: bool = True
    backups: bool = False
    dev: bool = False
    ci_s: float = 2.0
    policy: Mapping[str, Any] = field(default_factory=dict)


def short(
    observation: str = "10s", guards_for: str = "5s", *, suite_timeout: str = "60s", start_within: str = "30s",
    validates: Sequence[str] = EVERYTHING, production_per_s: float = 40.0, phase: str = "8s", watch: str = "12s",
    phase_max: str = "60s", database: bool = True, triggers: Mapping[str, Any] = NO_TRIGGERS,
    weights: Sequence[int] = WEIGHTS, wal_switch: str = "", dev: str = "",
) -> Tempo:  # fmt: skip
    """observation: how long staging is observed. guards_for: how long a critical threshold must be exceeded.

    production_per_s: customers' requests in prod; who looks at staging alone may spare them. phase, watch: of production's roll-out.
    phase_max: how long a phase waits for its sample. weights: of its phases, in percent.
    wal_switch: with backups of the databases, whose WAL is archived at least so often while something is written.
    dev: how much staging wants of dev: `required` or `recommended`; empty: there is no dev.
    triggers: what `policy.prod.triggers` says beside the sandbox's own.
    """
    has = {"suites": set(SUITES) <= set(validates), "performance": "load" in validates}
    optional = {"to_staging": "optional", "to_prod": "optional"}
    return Tempo(
        window="5s",
        interval="1s",
        time_scale=0.2,
        traffic_per_s=25.0,
        production_per_s=production_per_s,
        notice="Sandbox: durations are shortened",
        suite_timeout=suite_timeout,
        start_within=start_within,
        # The median tells a slow version; a machine that is busy elsewhere moves the slowest.
        load_within=("200ms", "2s", "5s"),
        validates=validates,
        beside=BESIDE,
        database=database,
        backups=bool(wal_switch),
        dev=bool(dev),
        policy={
            "dev": _DEV,
            "backups": {"full": "", "base": "", "drill": "", "wal_switch": wal_switch or "5m", "sign_off": "1h"},
            "staging": {
                "observation": observation,
                "min_requests": 60,
                "smoke_every": "2s",
                "rollout_timeout": "60s",
                "trouble_within": "15s",
                "traffic_wait": "20s",
                "max_latency_p95": "1s",
                "ci_wait": "20s",
                "dev_validated": dev or "required",
            },
            "health": {"window": "10s", "interval": "500ms", "p95": "8s", "timeout": "10s"},
            "waiting": {"approval_expires": "10m", "hold_remind": "30s", "hold_escalate": "60s"},
            "metrics": {"window": "5s", "interval": "1s", "fast": BESIDE[0]},
            "prod": _production(phase, watch, phase_max, triggers) | {"weights": list(weights)},
            "scans": {"wait": "5s"},
            "criteria": {name: optional for name, there in has.items() if not there},
            "critical": [
                {"name": "error rate", "metric": "error_ratio", "above": "3 %", "for": guards_for},
                {"name": "API p95 latency", "metric": "latency_p95_seconds", "above": "1s", "for": guards_for},
                {"name": "readiness success", "metric": "readiness_ratio", "below": "95 %", "for": guards_for},
            ],
        },
    )


_DEV: Mapping[str, Any] = {
    "settle": "500ms",
    "poll": "10s",
    "ci_wait": "30s",
    "observation": "6s",
    "min_requests": 5,
    "smoke_every": "1s",
    "rollout_timeout": "60s",
    "trouble_within": "15s",
    "traffic_wait": "20s",
}
"""The quarter of an hour in dev in some seconds."""


def _production(phase: str, watch: str, phase_max: str, triggers: Mapping[str, Any]) -> dict[str, Any]:
    """The runbook's roll-out in a minute. The sample is small: a little shop has few customers.

    max_over_stable: answers take milliseconds here, and as many more whenever this machine is busy with something else.

    remind_every: longer than anybody who plays takes to click; mitigate: long enough to read the card.
    """
    return {
        "windows": [
            {"name": "any time", "zone": "UTC", "rrule": "FREQ=DAILY;BYHOUR=0;BYMINUTE=0;BYSECOND=0", "duration": "24h"}
        ],
        "phase": phase,
        "phase_max": phase_max,
        "min_requests": 10,
        "watch": watch,
        "quiet": "6s",
        "mitigate": "60s",
        "remind_every": "20s",
        "rollout_timeout": "60s",
        "trouble_within": "15s",
        "smoke_every": "2s",
        "route_timeout": "20s",
        "max_latency_p95": "1s",
        "max_over_stable": "900 %",
        "triggers": {"core_for": "5s", "regression_for": "4s", "minimum_requests": 10, **triggers},
        "burn": {"long": BESIDE[2], "short": BESIDE[1]},
    }


RUNBOOK = Tempo(
    window="1m",
    interval="15s",
    time_scale=1.0,
    traffic_per_s=10.0,
    production_per_s=40.0,
    load_for="5m",
    suite_timeout="10m",
    start_within="2m",
    backups=True,
    dev=True,
    ci_s=20.0,
    policy={"staging": {"dev_validated": "recommended"}},
)
"""The runbook's own durations: an observation takes half an hour."""
