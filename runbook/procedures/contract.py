"""Contract migrations: what no running version needs any more is taken away, as a run of its own, after its version got its go and runs.

Runbook: Staging Deployment 3, "non-destructive first": this is what comes after.
"""

from __future__ import annotations

from runbook.jobs import Stage
from runbook.plan import CONTINUE, HOLD, STOP, Plan, Step, to_json
from runbook.policy import Policy, Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.procedures.jobs import migration_step, verification_step
from runbook.procedures.preparing import Candidate, look_at_candidate
from runbook.procedures.production import moment_checks
from runbook.procedures.promoting import look_at_final
from runbook.steps import Announce, Approval, CandidateTag, FinalTag, Gate, RecordDecision, RunsHere, SmokeTest
from runbook.steps.gates import AnyCheck
from runbook.steps.requests import health_requests
from runbook.values import Environment, Release
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing

NAME = "contract"
GATE = "contract migrations"


async def contract(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Looks at the version again, and whether it may contract at all. Raises `runbook.errors` when it could not ask."""
    look = look_at_final if request.environment is Environment.PROD else look_at_candidate
    candidate, verdicts = await look(request, setting, ports)
    if candidate is None:
        return Prepared(None, verdicts)
    verdicts += check_contract(candidate, await ports.memory.last_go(request.service, request.environment))
    if any(v.binding and v.outcome != Outcome.PASS for v in verdicts):
        return Prepared(None, verdicts)
    return Prepared(contract_plan(candidate, request.environment, setting.policy), verdicts)


def check_contract(candidate: Candidate, last_go: Release | None) -> tuple[Verdict, ...]:
    """There is something to contract, and this very release was the last to get its go here."""
    release, source = candidate.release, candidate.migrations.source
    names = [m.name for m in candidate.migrations.of(Stage.CONTRACT)]
    if not names:
        reason = f"{release.version} declares no contract migrations ({source})"
        return (Verdict.failed(GATE, "contract.nothing", reason, remedy="There is nothing to do"),)
    went = Evidence(name="last go", value=None if last_go is None else last_go.version, limit=release.version)
    if last_go is None or (last_go.version, last_go.images) != (release.version, release.images):
        last = "none got its go yet" if last_go is None else f"the last to get its go is {last_go.version}"
        reason = f"{release.version} is not the release that was accepted here: {last}"
        remedy = f"Deploy {release.version} and give it its go first"
        return (Verdict.failed(GATE, "contract.no_go", reason, went, remedy=remedy),)
    return (Verdict.passed(GATE, f"{listing(names)}: declared by {release.version}, which got its go", went),)


def _tag(candidate: Candidate, environment: Environment) -> AnyCheck:
    service, release = candidate.service, candidate.release
    if environment is Environment.PROD:
        return FinalTag(service.name, service.repository, release)
    return CandidateTag(service.repository, release)


def _moment(candidate: Candidate, environment: Environment, policy: Policy) -> tuple[Step, ...]:
    """What is taken away in production is gone: it needs the same moment and the same backup as a release. Production Deployment 1 and 3."""
    if environment is not Environment.PROD:
        return ()
    return (Gate(title="Change window, no incident, backup", checks=moment_checks(candidate, policy), on_fail=HOLD),)


def contract_plan(candidate: Candidate, environment: Environment, policy: Policy) -> Plan:
    """A failure holds: the Database Owner decides whether it is repeated, or taken back where there is a way. Pure."""
    service, release = candidate.service, candidate.release
    migrations = candidate.migrations.of(Stage.CONTRACT)
    health = health_requests(service.health, policy.health.timeout_s)
    steps: tuple[Step, ...] = (
        Gate(title="Release", checks=(_tag(candidate, environment),), on_fail=STOP),
        Gate(title="The version runs here", checks=(RunsHere(release.images),), on_fail=STOP),
        Approval(
            title="Contract migrations",
            roles=policy.migrations.contract_approvers,
            expires_s=policy.waiting.approval_expires_s,
            purpose="contract",
            on_fail=STOP,
        ),
        Gate(title="Nothing else runs here", checks=(RunsHere(release.images),), on_fail=STOP),
        *_moment(candidate, environment, policy),
        *(migration_step(candidate, migration, policy.jobs, on_fail=HOLD) for migration in migrations),
        *verification_step(candidate, policy.jobs, on_fail=HOLD),
        SmokeTest(
            title="Smoke tests",
            service=service.name,
            base_url=service.urls[environment],
            requests=(*health, *service.smoke),
            on_fail=HOLD,
        ),
        RecordDecision(title="Record the result", result="contracted", on_fail=HOLD),
        Announce(title="Announce the result", moment="contracted", on_fail=CONTINUE),
    )
    about = {
        "release": to_json(release),
        "repository": service.repository,
        "images": [image.reference for image in release.images],
        "changes_url": "",
        "migrations": [
            {
                "name": m.name,
                "stage": m.stage.value,
                "backward_compatible": m.backward_compatible,
                "down": m.down is not None,
            }
            for m in candidate.migrations.migrations
        ],
        "migrations_source": candidate.migrations.source,
    }
    return Plan(
        procedure=NAME, service=service.name, environment=environment, version=release.version, nodes=steps, about=about
    )
