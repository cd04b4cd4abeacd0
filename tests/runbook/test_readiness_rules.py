"""People, backups and the plan of a rollback: what passes, what doesn't, and the words for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.policy import Workload
from runbook.ports import Backup, Person
from runbook.rules.backups import check_backup, recoverable_minutes
from runbook.rules.people import check_approvers, check_on_call
from runbook.rules.rollback_plan import SchemaChange, judge_rollback_plan, rollback_words
from runbook.values import Role
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import deployment, digest

OLGA = Person("UOLGA", "Olga", source="PSCHED", until=NOON + timedelta(hours=2))
ADA, BO, PIA = Person("UADA", "Ada"), Person("UBO", "Bo"), Person("UPIA", "Pia")
GONE = Person("UGONE", "Gus", reachable=False, reason="your account is deactivated")
SLOTS = ((Role.SERVICE_OWNER,), (Role.PRODUCT, Role.OPERATIONS))
DAY_S, WEEK_S = 86_400.0, 7 * 86_400.0
BACKUP = Backup(
    "backup-7", "shop", NOON - timedelta(hours=3), "verified", NOON - timedelta(days=2), NOON - timedelta(minutes=4)
)


# --- on call ----------------------------------------------------------------------------------------------------------


def test_who_is_on_call_is_named_with_the_end_of_the_shift() -> None:
    verdict = check_on_call((OLGA, GONE), NOON)
    assert verdict.outcome == Outcome.PASS
    assert "Olga until" in verdict.reason
    assert "(for 2 h)" in verdict.reason
    assert "Gus" not in verdict.reason
    assert {e.name for e in verdict.evidence} == {"Olga", "Gus"}


def test_nobody_on_call_fails() -> None:
    verdict = check_on_call((), NOON)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "on_call.nobody")
    assert verdict.remedy


def test_somebody_on_call_who_cant_be_reached_fails_and_says_why() -> None:
    verdict = check_on_call((GONE,), NOON)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "on_call.unreachable")
    assert "Gus: your account is deactivated" in verdict.reason


def test_a_crowd_on_call_is_shortened() -> None:
    crowd = [Person(f"U{n}", f"Person {n}") for n in range(30)]
    verdict = check_on_call(crowd, NOON)
    assert "22 more" in verdict.reason
    assert len(verdict.evidence) == 8


def test_a_hostile_name_stays_one_short_line() -> None:
    verdict = check_on_call((Person("U1", "<!channel>\n*Eve*" + "x" * 900),), NOON)
    assert "\n" not in verdict.reason
    assert len(verdict.reason) < 120


# --- approvers --------------------------------------------------------------------------------------------------------


def test_enough_people_pass_and_are_named() -> None:
    (verdict,) = check_approvers(SLOTS, {Role.SERVICE_OWNER: (ADA,), Role.PRODUCT: (), Role.OPERATIONS: (BO,)})
    assert verdict.outcome == Outcome.PASS
    assert "service owner: Ada" in verdict.reason
    assert "product or operations: Bo" in verdict.reason


def test_one_person_fills_one_slot_whatever_they_hold() -> None:
    (verdict,) = check_approvers(SLOTS, {Role.SERVICE_OWNER: (ADA,), Role.PRODUCT: (ADA,), Role.OPERATIONS: (ADA,)})
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "approvers.too_few")


def test_people_are_moved_between_slots_until_all_are_filled() -> None:
    held = {Role.SERVICE_OWNER: (ADA, BO), Role.PRODUCT: (ADA,), Role.OPERATIONS: ()}
    (verdict,) = check_approvers(SLOTS, held)
    assert verdict.outcome == Outcome.PASS


def test_a_role_that_nobody_holds_is_named_with_its_place_in_the_configuration() -> None:
    (verdict,) = check_approvers(SLOTS, {Role.SERVICE_OWNER: (), Role.PRODUCT: (PIA,), Role.OPERATIONS: ()})
    assert verdict.code == "approvers.nobody"
    assert "roles.service_owner" in verdict.remedy


def test_every_empty_slot_is_told_at_once() -> None:
    verdicts = check_approvers(SLOTS, {})
    assert [v.code for v in verdicts] == ["approvers.nobody", "approvers.nobody"]


def test_the_requester_and_the_unreachable_fill_no_slot() -> None:
    held = {Role.SERVICE_OWNER: (ADA, GONE), Role.PRODUCT: (PIA,), Role.OPERATIONS: ()}
    (verdict,) = check_approvers(SLOTS, held, "T1:UADA")
    assert verdict.code == "approvers.unreachable"
    assert "Ada: asked for the release" in verdict.reason
    assert "Gus: your account is deactivated" in verdict.reason
    assert check_approvers(SLOTS, held, "T1:UPIA")[0].code == "approvers.unreachable"
    assert check_approvers(SLOTS, held, "T1:USOMEBODY")[0].outcome == Outcome.PASS


def test_a_slot_without_roles_asks_for_nobody() -> None:
    (verdict,) = check_approvers(((Role.SERVICE_OWNER,), ()), {Role.SERVICE_OWNER: (ADA,)})
    assert verdict.outcome == Outcome.PASS


# --- backups ----------------------------------------------------------------------------------------------------------


def test_a_young_restorable_and_drilled_backup_passes() -> None:
    verdict = check_backup(BACKUP, NOON, DAY_S, WEEK_S)
    assert (verdict.outcome, verdict.gate) == (Outcome.PASS, "backup")
    assert "3 h old" in verdict.reason


def test_without_a_backup_on_record_there_is_no_data() -> None:
    verdict = check_backup(None, NOON, DAY_S, WEEK_S)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "backup.none")
    assert "no backup is on record" in verdict.reason


@pytest.mark.parametrize(
    ("backup", "code"),
    [
        (replace(BACKUP, state="created"), "backup.not_restorable"),
        (replace(BACKUP, state="stored"), "backup.not_restorable"),
        (replace(BACKUP, state="a state of tomorrow"), "backup.not_restorable"),
        (replace(BACKUP, finished_at=NOON - timedelta(hours=24, seconds=1)), "backup.old"),
        (replace(BACKUP, drilled_at=None), "backup.no_drill"),
        (replace(BACKUP, drilled_at=NOON - timedelta(days=14, seconds=1)), "backup.old_drill"),
    ],
)
def test_a_backup_that_proves_too_little_fails(backup: Backup, code: str) -> None:
    verdict = check_backup(backup, NOON, DAY_S, WEEK_S)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, code)
    assert verdict.remedy


@pytest.mark.parametrize("state", ["decoded", "restored", "verified"])
def test_the_last_three_states_are_restorable_and_the_limits_are_inclusive(state: str) -> None:
    edge = replace(BACKUP, state=state, finished_at=NOON - timedelta(days=1), drilled_at=NOON - timedelta(days=7))
    assert check_backup(edge, NOON, DAY_S, WEEK_S).outcome == Outcome.PASS


def test_the_minutes_at_stake_are_those_since_the_newest_recoverable_moment() -> None:
    assert recoverable_minutes(BACKUP, NOON) == 4.0
    assert recoverable_minutes(replace(BACKUP, recoverable_until=None), NOON) is None
    assert recoverable_minutes(replace(BACKUP, state="stored"), NOON) is None
    assert recoverable_minutes(None, NOON) is None


# --- rollback plan ----------------------------------------------------------------------------------------------------

WEB = Workload("web", "app", "registry.example/acme/web")
STANDS = {"web": deployment("web", f"registry.example/acme/web@{digest('a')}")}
KEPT, DOWN, STUCK = SchemaChange("0007", True, False), SchemaChange("0008", False, True), SchemaChange("0009", False, False)  # fmt: skip


def test_the_plan_stands_in_words_in_its_evidence() -> None:
    (verdict,) = judge_rollback_plan((WEB,), STANDS, (KEPT, DOWN))
    assert (verdict.outcome, verdict.gate) == (Outcome.PASS, "rollback plan")
    words = " / ".join(str(e.value) for e in verdict.evidence)
    assert f"web goes back to registry.example/acme/web@{digest('a')}" in words
    assert "keeps 0007" in words
    assert "down Jobs of 0008" in words
    assert "Database Owner" in verdict.reason


def test_without_migrations_the_schema_isnt_touched() -> None:
    assert "not touched" in rollback_words({"web": {"app": "web@sha256:1"}})[-1]


def test_a_workload_that_isnt_there_has_nothing_to_go_back_to() -> None:
    (verdict,) = judge_rollback_plan((WEB,), {"web": None})
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "rollback.no_previous")
    (verdict,) = judge_rollback_plan((replace(WEB, container="other"),), STANDS)
    assert "no container other" in verdict.reason


def test_a_migration_without_any_way_back_fails_unless_a_restore_is_possible() -> None:
    verdicts = judge_rollback_plan((WEB,), STANDS, (KEPT, STUCK))
    assert [v.code for v in verdicts] == ["rollback.no_way_back"]
    assert "0009" in verdicts[0].reason
    (verdict,) = judge_rollback_plan((WEB,), STANDS, (KEPT, STUCK), lost_minutes=4.0)
    assert verdict.outcome == Outcome.PASS
    words = " / ".join(str(e.value) for e in verdict.evidence)
    assert "4 min of data at stake" in words
    assert "down Jobs" not in words


def test_every_obstacle_is_told_at_once() -> None:
    verdicts = judge_rollback_plan((WEB,), {}, (STUCK,))
    assert [v.code for v in verdicts] == ["rollback.no_previous", "rollback.no_way_back"]


def test_an_image_that_runs_by_its_tag_is_told_and_binds_nobody() -> None:
    passed, told = judge_rollback_plan((WEB,), {"web": deployment("web", "registry.example/acme/web:1")})
    assert passed.outcome == Outcome.PASS
    assert (told.code, told.binding) == ("rollback.by_tag", False)
