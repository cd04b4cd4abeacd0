"""The readiness checks as gates ask them: through ports, side by side, and never mistaking an outage for an answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from runbook.errors import ForgeError, Permanent, Temporary
from runbook.jobs import JobTemplate, Migration, Stage
from runbook.plan import Plan, canonical, parse
from runbook.ports import Backup, Person
from runbook.steps import ApproversReachable, FinalTag, Gate, OnCallAvailable, RecentBackup, ReleaseNotes, RollbackPlan
from runbook.steps.gates import AnyCheck
from runbook.values import Environment, Role
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.fakes import COMMIT, RELEASE, SERVICE, World, signed_tag

OLGA, SAM, PIA = Person("UOLGA", "Olga"), Person("USAM", "Sam"), Person("UPIA", "Pia")
UP = JobTemplate(workload="web")
STUCK = Migration("0009", Stage.EXPAND, False, UP)
OUTAGE = Temporary("pagerduty", "timeout", "PagerDuty gave no answer")
VERSION = "v1.4.0"


@dataclass
class FakePeople:
    held: dict[Role, tuple[Person, ...]] = field(default_factory=dict)
    error: ForgeError | None = None

    async def holders(self, role: Role) -> tuple[Person, ...]:
        if self.error is not None:
            raise self.error
        return self.held.get(role, ())


@dataclass
class FakeBackups:
    backup: Backup | None = None

    async def newest(self, service: str, environment: Environment) -> Backup | None:
        assert (service, environment) == ("shop", Environment.STAGING)
        return self.backup


class Stage9(World):
    def __init__(self) -> None:
        super().__init__()
        self.people, self.backups = FakePeople(), FakeBackups()
        self.ports = replace(self.ports, people=self.people, backups=self.backups)

    async def ask(self, *checks: AnyCheck, requester: str = "") -> dict[str, Verdict]:
        scene = self.scene()
        scene.requester = requester
        result = await self.finish(Gate(title="Ready", checks=checks).perform(scene))
        return {verdict.code: verdict for verdict in result.verdicts}


@pytest.fixture
def stage() -> Stage9:
    return Stage9()


# --- people -----------------------------------------------------------------------------------------------------------


async def test_somebody_on_call_passes_nobody_fails_and_an_outage_is_an_error(stage: Stage9) -> None:
    stage.people.held[Role.ON_CALL] = (OLGA,)
    assert "Olga" in (await stage.ask(OnCallAvailable()))["ok"].reason
    stage.people.held.clear()
    assert (await stage.ask(OnCallAvailable()))["on_call.nobody"].outcome == Outcome.FAIL
    stage.people.error = OUTAGE
    assert (await stage.ask(OnCallAvailable()))["pagerduty.timeout"].outcome == Outcome.ERROR


async def test_without_a_directory_nobody_can_say(stage: Stage9) -> None:
    stage.ports = replace(stage.ports, people=World().ports.people)
    verdicts = await stage.ask(OnCallAvailable(), ApproversReachable((Role.SERVICE_OWNER,)))
    assert all(v.outcome == Outcome.ERROR for v in verdicts.values())


async def test_the_requester_is_no_approver(stage: Stage9) -> None:
    stage.people.held = {Role.SERVICE_OWNER: (SAM,), Role.PRODUCT: (PIA,)}
    check = ApproversReachable((Role.SERVICE_OWNER,), ((Role.PRODUCT, Role.OPERATIONS),))
    assert set(await stage.ask(check, requester="T1:UOLGA")) == {"ok"}
    assert set(await stage.ask(check, requester="T1:USAM")) == {"approvers.unreachable"}


async def test_an_empty_list_of_alternatives_asks_for_nobody(stage: Stage9) -> None:
    stage.people.held = {Role.SERVICE_OWNER: (SAM,)}
    assert set(await stage.ask(ApproversReachable((Role.SERVICE_OWNER,), ((),)))) == {"ok"}


# --- release notes ----------------------------------------------------------------------------------------------------


async def test_notes_are_looked_for_in_the_release_the_tag_and_the_changelog(stage: Stage9) -> None:
    check = ReleaseNotes("acme/shop", VERSION, COMMIT)
    assert "notes.missing" in await stage.ask(check)
    stage.code.files["CHANGELOG.md"] = "# Changes\n\n## 1.4.0\n- Tongs\n"
    assert "CHANGELOG.md" in (await stage.ask(check))["ok"].reason
    tag = signed_tag(VERSION)
    stage.code.tags[VERSION] = replace(tag, payload=tag.payload.replace("A candidate", "Tongs for everybody"))
    assert "the tag's message" in (await stage.ask(check))["ok"].reason
    stage.code.notes[VERSION] = "Tongs can be sold"
    assert "the GitHub release" in (await stage.ask(check))["ok"].reason


async def test_a_changelog_that_is_no_text_is_no_notes_and_an_outage_is_an_error(
    stage: Stage9, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def folder(repository: str, path: str, commit: str) -> str | None:
        raise Permanent("github", "no_file", "CHANGELOG.md is a folder")

    monkeypatch.setattr(stage.code, "file", folder)
    check = ReleaseNotes("acme/shop", VERSION, COMMIT)
    assert (await stage.ask(check))["notes.missing"].outcome == Outcome.FAIL
    stage.code.error = Temporary("github", "timeout", "no answer")
    assert (await stage.ask(check))["github.timeout"].outcome == Outcome.ERROR


# --- the way back and the backup --------------------------------------------------------------------------------------


async def test_the_rollback_plan_is_computed_from_what_runs(stage: Stage9) -> None:
    found = await stage.ask(RollbackPlan("shop", SERVICE.workloads))
    assert "web and worker" in found["ok"].reason
    del stage.cluster.deployments["worker"]
    assert "rollback.no_previous" in await stage.ask(RollbackPlan("shop", SERVICE.workloads))


async def test_only_a_restorable_base_replaces_a_missing_down_job(stage: Stage9) -> None:
    check = RollbackPlan("shop", SERVICE.workloads, (STUCK,))
    assert "rollback.no_way_back" in await stage.ask(check)
    stage.backups.backup = Backup("b1", "shop", NOON, "verified", NOON, NOON - timedelta(minutes=2))
    assert "ok" in await stage.ask(check)
    assert "ok" in await stage.ask(replace(check, migrations=(replace(STUCK, down=UP),)))


async def test_a_recent_backup_is_asked_for_unless_the_service_has_no_database(stage: Stage9) -> None:
    check = RecentBackup("shop", 86_400.0, 604_800.0)
    assert (await stage.ask(check))["backup.none"].outcome == Outcome.NO_DATA
    assert "backup.no_database" in await stage.ask(replace(check, database=False))
    stage.backups.backup = Backup("b1", "shop", NOON - timedelta(hours=1), "restored", NOON - timedelta(days=1))
    assert set(await stage.ask(check)) == {"ok"}


# --- plans ------------------------------------------------------------------------------------------------------------


def test_the_checks_survive_storage_in_a_plan() -> None:
    checks: tuple[AnyCheck, ...] = (
        FinalTag("shop", "acme/shop", RELEASE),
        OnCallAvailable(),
        ApproversReachable((Role.SERVICE_OWNER,), ((Role.PRODUCT, Role.OPERATIONS),)),
        ReleaseNotes("acme/shop", VERSION, COMMIT),
        RollbackPlan("shop", SERVICE.workloads, (STUCK,)),
        RecentBackup("shop", 86_400.0, 604_800.0),
    )
    plan = Plan(
        procedure="prod",
        service="shop",
        environment=Environment.PROD,
        version=VERSION,
        nodes=(Gate(title="Ready", checks=checks),),
    )
    assert parse(canonical(plan)) == plan
    assert canonical(parse(canonical(plan))) == canonical(plan)
