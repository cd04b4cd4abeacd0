"""Which verdicts people may set aside, and what becomes of one that was. Runbook: Promotion Criteria; nothing sets aside a false artifact.

A set-aside verdict keeps its outcome and its words: it is shown, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from runbook.rules.finals import GO_GATE
from runbook.rules.tags import FINAL_TAG_GATE, IMAGES_GATE, TAG_GATE
from runbook.verdicts import Outcome, Verdict

NEVER = (TAG_GATE, FINAL_TAG_GATE, IMAGES_GATE, GO_GATE)
"""A moved tag, a bad signature, other digests, no go: what would be released isn't what was tested."""

FACT = "overrides"
"""In a run's facts: gate -> {"code", "by", "second", "reason"}."""


def may_override(verdict: Verdict) -> Verdict:
    """PASS when two people may set this verdict aside."""
    gate = "override"
    if verdict.outcome is Outcome.PASS:
        return Verdict.failed(gate, "override.passed", f"{verdict.gate} has passed: there is nothing to set aside")
    if verdict.gate in NEVER or verdict.code.partition(".")[0] in ("tag", "final", "images"):
        reason = f"{verdict.gate} can't be overridden: what would be released isn't what was tested"
        return Verdict.failed(gate, "override.never", reason, remedy="Tag and test it again")
    return Verdict.passed(gate, f"{verdict.gate} may be set aside by two people")


def with_overrides(verdicts: Iterable[Verdict], facts: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """The verdicts, of which those that were overridden decide nothing. One with another code than the overridden one still decides."""
    known: Mapping[str, Mapping[str, str]] = facts.get(FACT) or {}
    return tuple(_set_aside(verdict, known.get(verdict.gate)) for verdict in verdicts)


def _set_aside(verdict: Verdict, override: Mapping[str, str] | None) -> Verdict:
    if override is None or override.get("code") != verdict.code or may_override(verdict).outcome is not Outcome.PASS:
        return verdict
    words = f"OVERRIDDEN by {override.get('by')} and {override.get('second')}: {override.get('reason')}"
    return replace(verdict, binding=False, reason=f"{verdict.reason} – {words}")
