"""Nothing is released into a freeze or an incident. Runbook: Production Deployment 1 ("incident-free status"), Dev promotion gate ("no active
Sev-1/Sev-2 incidents"). Pure; a rollback never asks either."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.moments import told
from runbook.ports import Freeze, Incident
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing, shortened

FREEZE_GATE = "no freeze"
INCIDENT_GATE = "no open incident"
GRAVE = 2
"""Up to this severity an incident holds releases up. Runbook: "Sev-1/Sev-2"."""

LONGEST_TITLE = 120


def check_no_freeze(freezes: Sequence[Freeze]) -> Verdict:
    """freezes: those in force for this service and environment."""
    if not freezes:
        return Verdict.passed(FREEZE_GATE, "no freeze is in force")
    facts = tuple(
        Evidence(name="freeze", value=f"{freeze.environment}/{freeze.service}", source=freeze.owner, at=freeze.at)
        for freeze in freezes
    )
    reason = "; ".join(freeze_words(freeze) for freeze in freezes)
    lift = listing((lift_command(freeze.environment, freeze.service) for freeze in freezes), "and")
    return Verdict.failed(
        FREEZE_GATE, "freeze.in_force", reason, *facts, remedy=f"Wait for its end, or lift it: {lift}"
    )


def freeze_words(freeze: Freeze) -> str:
    """`prod is frozen by Ada until Sun 27 Dec 2026 00:00 UTC: end of year`."""
    what = freeze.environment if freeze.service in ("", "*") else f"{freeze.service} on {freeze.environment}"
    end = "until it is lifted" if freeze.until is None else f"until {told(freeze.until)}"
    why = shortened(" ".join(freeze.reason.split()), LONGEST_TITLE) or "no reason given"
    return f"{what} is frozen by {freeze.owner} {end}: {why}"


def lift_command(environment: str, service: str) -> str:
    """What to type to lift a freeze. service: empty or `*` for the one of the whole environment."""
    option = f" --service {service}" if service not in ("", "*") else ""
    return f"`/forge unfreeze {environment}{option}`"


def check_no_open_incident(incidents: Sequence[Incident]) -> Verdict:
    """incidents: the open ones that concern this service and environment. Lesser ones are shown and decide nothing."""
    grave = [incident for incident in incidents if incident.severity <= GRAVE]
    facts = tuple(
        Evidence(
            name=incident.id,
            value=f"severity {incident.severity}: {shortened(' '.join(incident.title.split()), LONGEST_TITLE)}",
            source=incident.opened_by,
            at=incident.opened_at,
        )
        for incident in incidents
    )
    if not grave:
        told_too = f" ({len(incidents)} of severity 3 or 4)" if incidents else ""
        return Verdict.passed(INCIDENT_GATE, f"no incident of severity 1 or 2 is open{told_too}", *facts)
    words = listing(f"{i.id} (severity {i.severity}, {shortened(' '.join(i.title.split()), 60)})" for i in grave)
    verb = "is" if len(grave) == 1 else "are"
    commands = listing((f"`/forge incident resolve {i.id}`" for i in grave), "and")
    return Verdict.failed(
        INCIDENT_GATE, "incident.open", f"{words} {verb} open", *facts, remedy=f"Resolve it first: {commands}"
    )
