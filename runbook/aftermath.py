"""What is told of a rollback in its incident: what happened, when, why perhaps, and who does what next. Runbook: Rollback Procedure 6. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from runbook.hypothesis import Hypothesis
from runbook.values import Environment
from runbook.wording import duration, listing, shortened

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A step of the way back that did not succeed, with its remedy: the commands a person would type. by_people: it never could, and says
    whose it is."""

    title: str
    reason: str
    remedy: str
    by_people: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """kept: migrations that stay in the schema. taken_back: those whose `down` Job ran. validated: health and journeys passed after it;
    None where they were not looked at. checklist: the run has one for people."""

    run: str
    incident: str
    service: str
    environment: str
    version: str
    unfinished: tuple[Unfinished, ...] = ()
    kept: tuple[str, ...] = ()
    taken_back: tuple[str, ...] = ()
    validated: bool | None = None
    checklist: bool = False


_BY_HYPOTHESIS = {
    "start.image": "Release Engineer: check that the digest exists and that the cluster may pull it; the same version may be promoted again then",
    "start.config": "Service Owner: create what is missing in the environment; the same version may be promoted again then",
    "start.room": "Operations: make room in the cluster; the same version may be promoted again then",
    "start.foreign": "Release Engineer: find out who else changes the Deployment before anything is promoted again",
    "router": "Release Engineer: find out who else changes the route, or why the gateway doesn't accept it; the version may be promoted again then",
    "dependency": "On-call: ask the dependency's owners; the same version may be promoted again when it is well",
    "both": "On-call: look at dependencies and the database first; the rollback alone may not mend it",
    "migration.failed": "Database Owner with the Service Owner: mend the migration, and let staging prove it on data like production's",
    "migration.data": "Database Owner: look at the data that the verification names, before anything else is released",
    "migration.slow": "Database Owner: look at what the migration does to queries and locks (indexes, long transactions)",
}
_MENDED = "mend it, tag the next candidate, and promote it after its go"


def timeline_lines(moments: Sequence[Moment]) -> tuple[str, ...]:
    """In order of time, each with what passed since the first: `10:02:15 UTC (+1 min 30 s): decided`."""
    ordered = sorted(moments, key=lambda moment: moment.at)
    if not ordered:
        return ()
    first = ordered[0].at
    lines = []
    for moment in ordered:
        passed = (moment.at - first).total_seconds()
        since = f" (+{duration(round(passed, 1))})" if passed >= 0.05 else ""
        lines.append(f"{moment.at:%H:%M:%S} UTC{since}: {moment.text}")
    return tuple(lines)


def next_actions(after: Aftermath, found: Hypothesis) -> tuple[str, ...]:
    """Who does what, the most urgent first."""
    return tuple(_actions(after, found))


def _actions(after: Aftermath, found: Hypothesis) -> Iterator[str]:
    for left in after.unfinished:
        reason, remedy = (
            shortened(left.reason, _LONGEST_REASON),
            left.remedy or f"`/forge status {after.run}` says more",
        )
        if left.by_people:
            yield f"By people, now: “{left.title}”: {reason}. {remedy}"
        else:
            yield f"Release Engineer, now: “{left.title}” did not succeed ({reason}). {remedy}"
    if after.validated is False:
        yield "On-call, now: health endpoints or user journeys fail after the rollback too; the cause is not the new version alone"
    if after.validated is None:
        yield "On-call: check health endpoints and user journeys; they were not looked at after the rollback"
    if after.kept:
        verb = "stays" if len(after.kept) == 1 else "stay"
        yield f"Database Owner: {listing(after.kept)} {verb} in the schema; decide whether until the next release"
    if after.taken_back:
        yield f"Database Owner: {listing(after.taken_back)} was taken back; look whether what the new version wrote is missed"
    yield _BY_HYPOTHESIS.get(found.code, f"Service Owner: find the cause of {after.version}'s fault; {_MENDED}")
    if found.code.startswith("migration."):
        yield f"Service Owner: {_MENDED}"
    if after.checklist:
        yield f"Everybody: the post-incident checklist, `/forge checklist {after.run}`"
    what = f"{after.service} on {after.environment}"
    held = "; until then no release of it passes its gate" if after.environment == Environment.PROD else ""
    yield f"On-call: when {what} is well, `/forge incident resolve {after.incident}`{held}"


def report_text(what: str, timeline: Sequence[str], found: Hypothesis, actions: Sequence[str]) -> str:
    """The incident's update, a line each."""
    lines = [f"What happened: {what}"]
    lines += ["Timeline:", *(f"• {line}" for line in timeline)] if timeline else []
    lines.append(f"Hypothesis (unproven): {found.text}")
    lines += [f"• It rests on {words}" for words in found.rests_on]
    lines += [f"• Against it, or beside it: {words}" for words in found.against]
    if found.rests_on and not found.against:
        lines.append("• Nothing that was measured speaks against it")
    lines += ["Next:", *(f"{place}. {action}" for place, action in enumerate(actions, start=1))]
    return "\n".join(lines)
