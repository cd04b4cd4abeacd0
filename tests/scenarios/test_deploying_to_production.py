"""Scenarios 5 to 11 in production; how staging does each of them is told in files of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.records import Click, Decision, Run, Sealed, Segment
from runbook.plan import to_json
from runbook.policy import TriggersPolicy
from runbook.series import CORE_SUCCESS, LATENCY_P95
from runbook.values import FrozenImage
from runbook.verdicts import Outcome
from tests.runbook.fakes import RELEASE, TOOLS, digest, signed_tag
from tests.scenarios.production import (
    FINAL,
    NEW,
    PROMOTE,
    QUICK,
    SHOP,
    ProductionStage,
    ProductionWorld,
    policy_with,
    production,
)
from tests.scenarios.stage import PEOPLE, offered, setting_of, shown, spoken
from tests.scenarios.two_tracks import CANARY

CARD = 3
"""The place of the approval among the steps."""

NEXT, NEXT_COMMIT = "v1.4.1", "e" * 40


# --- 5 ----------------------------------------------------------------------------------------------------------------


async def test_the_same_promote_delivered_three_times_starts_one_release(tmp_path: Path) -> None:
    """Scenario 5."""
    async with production(tmp_path) as s:
        await s.at_once(*(spoken("ada", PROMOTE, "trigger-1") for _ in range(3)))
        assert await s.says("ada", PROMOTE, trigger="trigger-1") == ""
        await s.until_state("waiting")
        await s.shown_all()
        assert [run.id for run in s.rows(Run)] == ["prod-1"]
        assert len(s.chat.answers) == 1
        assert "prod-1 deploys v1.4.0 already" in await s.says("rob", PROMOTE)


# --- 6 ----------------------------------------------------------------------------------------------------------------


def two_releases() -> ProductionWorld:
    world = ProductionWorld()
    world.code.tags[NEXT] = signed_tag(NEXT, commit=NEXT_COMMIT, tag_object="9" * 40)
    world.code.notes[NEXT] = "A fix."
    for image in RELEASE.images:
        for tag in (NEXT, f"{NEXT}-rc.1"):
            world.registry.tags[image.repository, tag] = digest("5")
    world.registry.tags |= {(repository, f"{NEXT}-rc.1"): found for repository, found in TOOLS.items()}
    return world


async def next_has_its_go(s: ProductionStage) -> None:
    images = tuple(
        FrozenImage(i.workload, i.container, i.repository, f"{NEXT}-rc.1", digest("5")) for i in RELEASE.images
    )
    release = replace(RELEASE, version=f"{NEXT}-rc.1", commit=NEXT_COMMIT, tag_object="8" * 40, images=images)
    decision = Decision(
        run="staging-2", service="shop", environment="staging", version=release.version, result="go",
        release=to_json(release), approvers=[], at=s.clock.now(),
    )  # fmt: skip
    await s.store.write(lambda ledger: ledger.add(decision))


async def test_two_releases_for_production_the_second_waits_in_a_visible_queue_and_a_lock_holders_reason_and_age_show(
    tmp_path: Path,
) -> None:
    """Scenario 6."""
    async with production(tmp_path, world=two_releases()) as s:
        await next_has_its_go(s)
        await s.rolls_out_to(5)
        answer = await s.says("rob", f"promote {NEXT} prod")
        assert "prod-2 is queued. Queued behind prod-1 (v1.4.0 by Ada" in answer
        await s.shown_all()
        second = next(shown(m.message) for m in s.chat.messages if m.message_id.startswith("headline:prod-2"))
        assert "Queued behind prod-1" in second
        await s.says("sam", 'lock prod --reason "load test until noon"')
        await s.clock.advance(timedelta(minutes=3))
        status = await s.says("max", "status")
        assert status.index("prod-1") < status.index("prod-2")
        assert "load test until noon" in status
        assert "Sam for 3 min" in status
        await s.says("ada", "rollback prod")
        assert await s.ends() == "returned"
        assert s.run("prod-2").state == "queued", "the lock holds it up now"
        await s.shown_all()
        assert "Sam locked prod" in next(
            shown(m.message) for m in s.chat.messages if m.message_id.startswith("headline:prod-2")
        )
        await s.says("sam", "unlock prod")
        await s.until(lambda: s.run("prod-2").state in ("waiting", "held"))


# --- 7 and 8 ----------------------------------------------------------------------------------------------------------


async def test_two_service_owners_click_in_the_same_millisecond_for_production_one_slot_is_filled_and_the_last_two_give_one_go(
    tmp_path: Path,
) -> None:
    """Scenario 7."""
    async with production(tmp_path) as s:
        await s.waits_for_approval()
        clicks = [s.click(who, "approve", index=CARD) for who in ("sam", "sue", "pia", "opal")]
        answers = await s.at_once(*clicks)
        assert sum("All 2 given" in answer for answer in answers) == 1
        assert sum("Already decided: approved by" in answer for answer in answers) <= 2
        await s.until_at("Observe 5 %")
        assert s.actions.count("approval.opened") == 1
        assert s.moved("start web-canary") == [1]


@pytest.mark.parametrize("how", ["click", "command"])
async def test_the_requester_of_a_production_release_approves_it_refused_and_audited(tmp_path: Path, how: str) -> None:
    """Scenario 8."""
    async with production(tmp_path) as s:
        await s.waits_for_approval(who="owen")
        if how == "click":
            answer = await s.clicks("owen", "approve", index=CARD)
        else:
            answer = await s.says("owen", "approve prod-1")
        assert "you asked for this run, so you can't decide on it" in answer
        assert s.rows(Click) == []
        assert [(e.actor, e.subject) for e in s.rows(Sealed, action="approval.refused")] == [
            (PEOPLE["owen"].id, "prod-1")
        ]


@pytest.mark.parametrize(
    ("first", "second"), [("bo", "sam"), ("bo", "pia"), ("bo", "opal"), ("sam", "opal"), ("opal", "sue")]
)
async def test_one_person_in_two_roles_fills_one_slot_and_product_or_operations_the_other(
    tmp_path: Path, first: str, second: str
) -> None:
    """Scenario 8. Bo is a Service Owner and of Product."""
    async with production(tmp_path) as s:
        await s.waits_for_approval()
        assert "1 more needed" in await s.clicks(first, "approve", index=CARD)
        assert "You have already decided" in await s.clicks(first, "approve", index=CARD)
        await s.shown_all()
        assert "1 of 2" in shown(s.cards()[-1].message)
        assert s.run().state == "waiting"
        assert "All 2 given" in await s.clicks(second, "approve", index=CARD)
        await s.until_at("Observe 5 %")


async def test_product_and_operations_together_are_no_service_owner(tmp_path: Path) -> None:
    """Scenario 8."""
    async with production(tmp_path) as s:
        await s.waits_for_approval()
        await s.clicks("pia", "approve", index=CARD)
        await s.clicks("opal", "approve", index=CARD)
        await s.clock.advance(timedelta(minutes=5))
        assert s.run().state == "waiting"
        assert s.world.cluster.moved == []


# --- 9 ----------------------------------------------------------------------------------------------------------------


async def approved_and_paused(s: ProductionStage) -> None:
    await s.waits_for_approval()
    await s.says("rob", "pause prod-1")
    await s.says("sam", "approve prod-1")
    assert "All 2 given" in await s.says("pia", "approve prod-1")
    assert s.run().first_effect_at is None


def moved_tag(s: ProductionStage) -> None:
    s.world.code.tags[FINAL] = signed_tag(FINAL, commit="d" * 40, tag_object="b" * 40)


def other_digest(s: ProductionStage) -> None:
    assert isinstance(s.world, ProductionWorld)
    s.world.registry.tags["registry.example/acme/web", FINAL] = digest("9")


@pytest.mark.parametrize(("change", "code"), [(moved_tag, "tag.moved"), (other_digest, "image.digest_changed")])
async def test_the_final_tag_moves_or_a_digest_changes_after_approval_the_approval_is_void_and_the_card_says_what_changed(
    tmp_path: Path, change: Callable[[ProductionStage], None], code: str
) -> None:
    """Scenario 9."""
    async with production(tmp_path) as s:
        await approved_and_paused(s)
        change(s)
        await s.says("rob", "resume prod-1")
        run = await s.until_state("ended")
        await s.shown_all()
        assert (run.ending, run.ending_code) == ("failed", code)
        assert (s.world.cluster.moved, s.world.cluster.writes) == ([], [])
        assert all(click.void_at is not None for click in s.rows(Click))
        card = s.cards()[0].message
        assert "void" in shown(card)
        assert ("has moved" if code == "tag.moved" else digest("9")[:19]) in shown(card)
        assert offered(card) == []


async def test_the_production_policy_changes_after_approval_the_approval_is_void_and_the_card_says_what_changed(
    tmp_path: Path,
) -> None:
    """Scenario 9."""
    async with production(tmp_path) as s:
        await approved_and_paused(s)
        await s.engine.reload(setting_of(policy_with(phase_s=120.0), "setting-2", SHOP))
        await s.says("rob", "resume prod-1")
        await s.until(lambda: s.run().segment == 2 and s.run().state == "waiting")
        await s.shown_all()
        assert all(click.void_at is not None for click in s.rows(Click))
        assert "What changed" in shown(s.cards()[0].message)
        assert "5 min → 2 min" in shown(s.cards()[0].message)
        assert "approval needed" in shown(s.cards()[1].message)
        assert s.world.cluster.moved == []


async def test_after_the_first_effect_in_production_an_edit_of_the_policy_changes_nothing(tmp_path: Path) -> None:
    """Scenario 9."""
    async with production(tmp_path) as s:
        await s.rolls_out_to(5)
        before = s.run().plan_hash
        stricter = replace(policy_with(phase_s=3600.0, weights=(50, 100)), critical=())
        await s.engine.reload(setting_of(stricter, "setting-2", SHOP))
        await s.until_at("Elevated watch")
        assert s.weights == [5, 25, 100]
        assert (s.run().plan_hash, len(s.rows(Segment))) == (before, 1)


# --- 10 ---------------------------------------------------------------------------------------------------------------


async def test_a_production_approval_that_expires_is_refused_and_the_release_stops(tmp_path: Path) -> None:
    """Scenario 10."""
    async with production(tmp_path) as s:
        await s.waits_for_approval()
        await s.says("sam", "approve prod-1")
        await s.clock.advance(timedelta(hours=24, minutes=1))
        run = await s.until_state("ended")
        assert (run.ending, run.ending_code) == ("failed", "approval.expired")
        assert "nobody decided within 24 h" in await s.clicks("pia", "approve", index=CARD)
        assert s.world.cluster.moved == []


async def test_a_production_approval_that_is_withdrawn_before_execution_does_not_count(tmp_path: Path) -> None:
    """Scenario 10."""
    async with production(tmp_path) as s:
        await approved_and_paused(s)
        assert "You took back your approval" in await s.clicks("sam", "withdraw", index=CARD)
        await s.says("rob", "resume prod-1")
        await s.clock.advance(timedelta(minutes=5))
        assert (s.run().state, s.at(), s.world.cluster.moved) == ("waiting", "Ship to production", [])
        await s.says("sue", "approve prod-1")
        await s.until_at("Observe 5 %")


@pytest.mark.parametrize(
    ("who", "reason"),
    [("old", "account is deactivated"), ("far", "another workspace"), ("gus", "guests can't"), ("max", "takes the role"), ("dora", "takes the role")],
)  # fmt: skip
async def test_a_production_approval_from_a_deactivated_user_another_workspace_or_without_the_role_is_refused(
    tmp_path: Path, who: str, reason: str
) -> None:
    """Scenario 10."""
    async with production(tmp_path) as s:
        await s.waits_for_approval()
        assert reason in await s.clicks(who, "approve", index=CARD)
        assert s.rows(Click) == []
        assert any(e.actor == PEOPLE[who].id and "refused" in e.action for e in s.rows(Sealed))


# --- 11 ---------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def overriding(tmp_path: Path) -> AsyncIterator[ProductionStage]:
    """After the watch a warning of the last minutes holds the release; Ada asks to complete it all the same, a second person may agree."""
    async with production(tmp_path, policy=policy_with(phase_s=60.0, watch_s=900.0, quiet_s=600.0)) as s:
        await s.is_watched()
        s.tracks.says(LATENCY_P95, 0.6, CANARY, for_s=720)
        await s.until_state("held")
        gate = next(step for step in s.steps() if step.title == "Completion criteria")
        [verdict] = [v for v in gate.verdicts if v["outcome"] != Outcome.PASS and v["binding"]]
        answer = await s.says("ada", f'override prod-1 "{verdict["gate"]}" --reason "one slow report"')
        assert "A second person has to agree" in answer
        await s.shown_all()
        yield s


async def test_while_an_approval_is_pending_in_production_a_guard_breaches_the_release_rolls_back_and_the_button_is_dead_on_click(
    tmp_path: Path,
) -> None:
    """Scenario 11."""
    async with overriding(tmp_path) as s:
        s.tracks.says(CORE_SUCCESS, 0.9, CANARY)
        assert (await s.until_state("ended")).ending == "returned"
        await s.shown_all()
        assert s.weights == [5, 25, 100, 0]
        assert "core transaction success of the canary was below 98 %" in s.run().ending_reason
        dead = await s.agrees("rob")
        assert "This button is dead" in dead
        assert "core transaction success of the canary was below 98 %" in dead
        assert s.rows(Sealed, action="override.granted") == []
        assert s.is_as_before()
        [card] = s.cards_of("override")
        assert offered(card.message) == []


async def test_while_on_call_is_asked_another_guard_breaches_the_release_rolls_back_and_the_buttons_are_dead_on_click(
    tmp_path: Path,
) -> None:
    """Scenario 11."""
    policy = policy_with(phase_s=1800.0, phase_max_s=3600.0, triggers=TriggersPolicy(critical_alerts="prompt"))
    async with production(tmp_path, policy=policy) as s:
        await s.rolls_out_to(5)
        s.tracks.says(LATENCY_P95, 1.5, CANARY)
        await s.until(lambda: bool(s.prompts()))
        s.tracks.fails(CANARY, 0.2)
        assert await s.ends() == "returned"
        assert s.run().ending_code == "ratio.worse"
        [prompt] = s.prompts()
        assert prompt.state == "closed"
        [card] = s.cards_of("prompt")
        assert offered(card.message) == []
        dead = await s.presses("olly", "rollback")
        assert "This button is dead" in dead
        assert "canary failed" in dead
        assert s.weights == [5, 0]
        assert s.is_as_before()


async def test_a_good_release_of_production_is_what_was_proven(tmp_path: Path) -> None:
    """By digest, whatever the registry says of tags afterwards."""
    async with production(tmp_path, policy=QUICK) as s:
        await s.rolls_out_to(5)
        other_digest(s)
        moved_tag(s)
        assert await s.ends() == "completed"
        assert s.images() == NEW
