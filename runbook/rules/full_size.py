"""Whether an autoscaler may shrink a stable that has no traffic for the time of a roll-out: what its minReplicas is raised to, and set back to.

Pure. It must never lower what stood there before, nor set back what somebody else has set since. Runbook: Production Deployment 4.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from runbook.ports import Autoscaler
from runbook.rules.traffic import REPLICAS, WHOLE, replicas_for

RUN, BEFORE, HELD = "run", "min-replicas", "held-replicas"
"""Annotations, after the prefix and a slash: whose hold it is, the minReplicas before it, and what it was raised to."""


@dataclass(frozen=True, slots=True)
class Hold:
    """As an autoscaler's own annotations tell it. before, least: minReplicas before the hold and by it."""

    run: str
    before: int
    least: int


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written. marks: annotation -> value, None to take it away."""

    least: int
    marks: Mapping[str, str | None]


def hold_of(found: Autoscaler, prefix: str) -> Hold | None:
    """None where there is none, or one that can't be read: then what stands there is somebody's own."""
    run, before, least = (found.marks.get(f"{prefix}/{name}", "") for name in (RUN, BEFORE, HELD))
    if not run or not before.isdecimal() or not least.isdecimal():
        return None
    return Hold(run, int(before), int(least))


def floor(driver: str, weight: int, size: int) -> int:
    """Replicas that stable needs while the canary has this weight. By numbers of pods it shrinks above half of the traffic; at 100 % it has
    none, and an autoscaler leaves a Deployment without pods alone. Source: kubernetes.io, Horizontal Pod Autoscaling, implicit
    maintenance-mode deactivation."""
    if driver != REPLICAS or weight >= WHOLE:
        return size
    return replicas_for(weight, size).stable


def is_changed(found: Autoscaler, run: str, prefix: str) -> bool:
    """Somebody has set another minReplicas since this run raised it."""
    hold = hold_of(found, prefix)
    return hold is not None and hold.run == run and found.least != hold.least


def raised(found: Autoscaler, size: int, run: str, prefix: str) -> Change | None:
    """The hold of this run; None where nothing is to be written. What a run that is over has left behind is taken on with what it began from."""
    hold = hold_of(found, prefix)
    if is_changed(found, run, prefix):
        return None
    ours = hold is not None and hold.run == run
    before = hold.before if hold is not None and found.least == hold.least else found.least
    least = max(before, min(size, found.most))
    if least == before:
        return None if hold is None else Change(before, _cleared(prefix))
    if ours and least == found.least:
        return None
    return Change(least, {f"{prefix}/{RUN}": run, f"{prefix}/{BEFORE}": str(before), f"{prefix}/{HELD}": str(least)})


def lowered(found: Autoscaler, run: str, prefix: str) -> Change | None:
    """What ends this run's hold; None where there is none. A minReplicas that isn't the hold's any more stays."""
    hold = hold_of(found, prefix)
    if hold is None or hold.run != run:
        return None
    least = min(hold.before, found.most) if found.least == hold.least else found.least
    return Change(least, _cleared(prefix))


def lowered_by_hand(kubectl: str, name: str, before: int, prefix: str) -> str:
    """The exact command by which a person ends a hold."""
    patch = {"metadata": {"annotations": _cleared(prefix)}, "spec": {"minReplicas": before}}
    text = shlex.quote(json.dumps(patch, separators=(",", ":")))
    return f"{kubectl} patch hpa {shlex.quote(name)} --type merge -p {text}"


def _cleared(prefix: str) -> Mapping[str, str | None]:
    return {f"{prefix}/{name}": None for name in (RUN, BEFORE, HELD)}
