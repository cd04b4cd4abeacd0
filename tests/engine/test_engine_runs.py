"""A run's life on the whole engine: in order, returned, held, queued, paused, decided, voided."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.intents import Intent
from engine.records import Button, Click, Decision, Outgoing, Sealed
from runbook.errors import Permanent, Temporary
from runbook.plan import Result
from runbook.policy import Policy, StagingPolicy
from runbook.ports import Sample, Series
from runbook.values import Actor, Environment, Role
from runbook.verdicts import Verdict
from tests.engine import harness
from tests.engine.harness import ADA, BOTH, GUEST, PIA, SAM, Bench, bench, failing, ratio, setting_for, without_data


@pytest.fixture(autouse=True)
def on_both_databases(database_url: str) -> Iterator[None]:
    token = harness.DATABASE.set(database_url)
    yield
    harness.DATABASE.reset(token)


async def to_go(b: Bench) -> str:
    """A run that waits for its go."""
    run = await b.deploy()
    await b.until(run, "waiting")
    assert (await b.act("approve", SAM, run)).ok
    await b.clock.run_until(lambda: b.run(run).position == 5)
    return run


async def test_a_candidate_runs_every_step_in_order_and_is_recorded(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        await b.act("approve", PIA, run)
        answer = await b.act("approve", SAM, run)
        assert answer.code == "approval.granted"
        ended = await b.ended(run)
        assert (ended.ending, b.outside.done) == ("completed", ["look", "remember", "deploy one", "deploy two"])
        assert [s.state for s in b.steps(run)] == ["done"] * 8
        decision = b.rows(Decision)[0]
        assert (decision.result, [a["name"] for a in decision.approvers]) == ("go", ["Sam", "Pia", "Sam"])


@pytest.mark.parametrize(("binding", "told"), [(2, "check 0 is fine"), (5, "all 5 checks passed")])
async def test_what_binds_nobody_is_not_counted_among_the_checks_that_passed(
    tmp_path: Path, binding: int, told: str
) -> None:
    async with bench(tmp_path) as b:
        checks = [Verdict.passed(f"check {n}", f"check {n} is fine") for n in range(8)]
        verdicts = tuple(replace(check, binding=n < binding) for n, check in enumerate(checks))
        b.outside.results["look"] = lambda: Result(verdicts)
        run = await b.deploy()
        await b.until(run, "waiting")
        assert b.steps(run)[0].reason == told


async def test_a_failed_step_returns_to_the_previous_state_and_says_why(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.outside.results["deploy two"] = lambda: failing("deploy two")
        run = await b.deploy()
        await b.act("approve", SAM, run)
        ended = await b.ended(run)
        assert ended.ending == "returned"
        assert "deploy two went wrong" in ended.ending_reason
        assert b.outside.done[-2:] == ["return two", "return one"]
        await b.clock.settle()
        assert any("previous version is back" in m.message.text for m in b.chat.messages)


@pytest.mark.parametrize("how", ["reject", "expire", "abort"])
async def test_rejection_expiry_and_abort_return_to_the_previous_state(tmp_path: Path, how: str) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        if how == "reject":
            await b.act("reject", PIA, run, reason="too slow")
        elif how == "abort":
            await b.act("abort", ADA, run, reason="wrong day")
        else:
            await b.clock.advance(timedelta(hours=24, seconds=1))
        ended = await b.ended(run)
        assert ended.ending == "returned"
        expected = {
            "reject": "rejected by Pia: too slow",
            "expire": "nobody decided",
            "abort": "aborted by Ada: wrong day",
        }
        assert expected[how] in ended.ending_reason


@pytest.mark.parametrize("how", ["reject", "expire", "abort", "cancel"])
async def test_before_any_effect_a_run_just_ends_and_nothing_was_changed(tmp_path: Path, how: str) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        if how == "expire":
            await b.clock.advance(timedelta(hours=24, seconds=1))
        else:
            await b.act(how, SAM, run)
        ended = await b.ended(run)
        assert ended.ending in ("failed", "cancelled")
        assert b.outside.done == ["look"]


async def test_no_data_holds_reminds_escalates_and_never_rolls_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.outside.results["deploy two"] = lambda: without_data("deploy two")
        run = await b.deploy()
        await b.act("approve", SAM, run)
        await b.until(run, "held")
        await b.clock.advance(timedelta(hours=5))
        assert b.run(run).state == "held"
        actions = [e.action for e in b.rows(Sealed)]
        assert actions.count("hold.reminded") == 1
        assert actions.count("hold.escalated") == 1
        assert any("<!subteam^SONCALL>" in m.message.text for m in b.chat.messages)
        del b.outside.results["deploy two"]
        assert (await b.act("retry", ADA, run)).ok
        await b.clock.run_until(lambda: b.run(run).position == 5)


async def test_an_error_is_asked_again_a_few_times_and_then_holds(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:

        def broken() -> None:
            raise Temporary("kubernetes", "timeout", "the API server did not answer in 10 s")

        b.outside.results["deploy one"] = broken  # type: ignore[assignment]
        run = await b.deploy()
        await b.act("approve", SAM, run)
        held = await b.until(run, "held")
        assert b.outside.done.count("deploy one") == 3
        assert b.steps(run)[held.position].code == "kubernetes.timeout"


async def test_an_unforeseen_exception_holds_that_run_and_keeps_its_text_to_the_log(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:

        def bug() -> None:
            raise ValueError("token xoxb-secret")

        b.outside.results["deploy one"] = bug  # type: ignore[assignment]
        run = await b.deploy()
        await b.act("approve", SAM, run)
        held = await b.until(run, "held")
        row = b.steps(run)[held.position]
        assert row.code == "engine.unforeseen"
        assert "correlation id" in row.reason
        assert "xoxb" not in str(b.rows(Sealed)) + str([m.message for m in b.chat.messages])


async def test_the_second_run_waits_in_a_visible_queue_and_starts_when_the_first_ends(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.deploy("v1.0.0-rc.1")
        answer = await b.act("deploy", ADA, environment=Environment.STAGING, version="v1.0.0-rc.2", service="shop")
        second = answer.run
        assert answer.code == "run.queued"
        assert f"Queued behind {first} (v1.0.0-rc.1 by Ada" in answer.text
        await b.act("cancel", ADA, first)
        await b.until(second, "waiting")


async def test_runs_of_other_services_do_not_wait(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.deploy()
        other = await b.deploy(service="desk")
        await b.until(other, "waiting")


async def test_a_lock_keeps_runs_queued_and_shows_its_holder_reason_and_age(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.act("lock", SAM, environment=Environment.STAGING, reason="load test")
        await b.clock.advance(timedelta(minutes=7))
        answer = await b.act("deploy", ADA, environment=Environment.STAGING, version="v1.0.0-rc.1", service="shop")
        assert "Sam locked staging 7 min ago: load test." in answer.text
        assert "unlock staging" in answer.text
        await b.act("unlock", ADA, environment=Environment.STAGING)
        await b.until(answer.run, "waiting")


async def test_the_requester_cannot_approve_and_one_person_fills_one_slot(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        owner = Actor(ADA.id, "Ada", frozenset({Role.SERVICE_OWNER, Role.RELEASE_ENGINEER}))
        run = await b.deploy(actor=owner)
        await b.until(run, "waiting")
        assert (await b.act("approve", owner, run)).code == "authority.requester"
        await b.act("approve", SAM, run)
        await b.clock.run_until(lambda: b.run(run).position == 5)
        await b.act("approve", BOTH, run)
        assert (await b.act("approve", BOTH, run)).code == "approval.repeated"
        assert b.run(run).state == "waiting"
        await b.act("approve", SAM, run)
        assert (await b.ended(run)).ending == "completed"
        assert any(e.action == "approval.refused" and e.actor == ADA.id for e in b.rows(Sealed))


async def test_two_approvers_in_the_same_moment_go_one_step_forward_and_the_loser_hears_who_decided(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        desk, intent = b.engine.desk, Intent(name="approve", run=run)
        answers = await asyncio.gather(desk.act(intent, SAM), desk.act(intent, BOTH), desk.act(intent, SAM))
        granted = [a for a in answers if a.code == "approval.granted"]
        assert len(granted) == 1
        assert len(b.rows(Click)) == 1
        await b.clock.run_until(lambda: b.run(run).position == 5)
        assert b.outside.done.count("deploy one") == 1
        await b.act("approve", PIA, run)
        await b.act("approve", SAM, run)
        await b.ended(run)
        card = next(x for x in b.rows(Button, run=run, action="approve", index=5))
        late = await b.act("approve", BOTH, button=card.id)
        assert "Already decided: approved by Pia, Sam" in late.text


async def test_an_approval_can_be_withdrawn_before_anything_has_happened(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        await b.act("approve", PIA, run)
        assert (await b.act("withdraw", PIA, run)).ok
        await b.act("approve", SAM, run)
        assert b.run(run).state == "waiting"
        assert (await b.act("withdraw", PIA, run)).code == "withdraw.nothing"


async def test_a_change_after_approval_voids_it_and_the_card_says_what_changed(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.outside.takes_s["remember"] = 60.0
        run = await b.deploy()
        await b.act("approve", SAM, run)
        b.numbers["limit"] = 2
        await b.clock.advance(timedelta(seconds=61))
        waiting = await b.until(run, "waiting")
        assert waiting.segment == 2
        assert waiting.first_effect_at is None
        assert all(c.void_at is not None for c in b.rows(Click))
        card = next(x for x in b.rows(Button, run=run, action="approve") if x.plan_hash != waiting.plan_hash)
        assert (await b.act("approve", SAM, button=card.id)).code == "approval.void"
        await b.act("approve", SAM, run)
        await b.clock.run_until(lambda: b.run(run).position == 5)
        b.numbers["limit"] = 3
        await b.act("approve", PIA, run)
        await b.act("approve", SAM, run)
        assert (await b.ended(run)).ending == "completed"


async def test_a_tag_that_moved_after_approval_stops_the_run_before_any_effect(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        b.numbers["refuse"] = True
        await b.act("approve", SAM, run)
        ended = await b.ended(run)
        assert (ended.ending, ended.ending_code) == ("failed", "tag.moved")
        assert b.outside.done == ["look"]


async def test_a_new_policy_voids_pending_approvals_at_once_and_changes_nothing_after_the_first_effect(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        other = await b.deploy(service="desk")
        await b.act("approve", SAM, other)
        await b.clock.run_until(lambda: b.run(other).position == 5)
        policy = Policy()
        longer = replace(policy, waiting=replace(policy.waiting, approval_expires_s=7200.0), staging=StagingPolicy())
        before = b.run(other).plan_hash
        await b.engine.reload(setting_for(longer, "s2"))
        await b.clock.run_until(lambda: b.run(run).segment == 2 and b.run(run).state == "waiting")
        assert b.run(other).plan_hash == before


async def test_a_paused_run_starts_no_step_and_resumes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.outside.takes_s["deploy one"] = 60.0
        run = await b.deploy()
        await b.act("approve", SAM, run)
        await b.clock.run_until(lambda: "deploy one" in b.outside.done)
        await b.act("pause", ADA, run)
        await b.clock.advance(timedelta(minutes=10))
        assert "deploy two" not in b.outside.done
        await b.act("resume", ADA, run)
        await b.clock.run_until(lambda: b.run(run).position == 5)


async def test_an_abort_cancels_the_running_step_first(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.outside.takes_s["deploy one"] = 600.0
        run = await b.deploy()
        await b.act("approve", SAM, run)
        await b.clock.run_until(lambda: "deploy one" in b.outside.done)
        await b.act("abort", ADA, run)
        assert (await b.ended(run)).ending == "returned"
        assert b.outside.cancelled == ["deploy one"]
        assert (await b.act("abort", ADA, run)).code == "run.ended"


async def test_a_partly_failed_return_is_incomplete_and_the_rest_is_still_attempted(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.outside.results["return two"] = lambda: failing("return two")
        run = await to_go(b)
        await b.act("abort", ADA, run)
        assert (await b.ended(run)).ending == "incomplete"
        assert b.outside.done[-1] == "return one"


async def test_a_guard_breach_while_an_approval_is_pending_returns_and_kills_the_button(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        card = next(x for x in b.rows(Button, run=run, action="approve", index=5))
        b.metrics.value = ratio("shop", 0.2)
        started = b.clock.now()
        ended = await b.ended(run)
        assert ended.ending == "returned"
        assert "error rate was above 3 %" in ended.ending_reason
        assert (b.clock.now() - started) <= timedelta(minutes=6, seconds=15)
        dead = await b.act("approve", PIA, button=card.id)
        assert dead.code == "approval.closed"
        assert "dead" in dead.text


async def test_another_environments_series_of_the_same_service_blinds_no_guard(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        bad = ratio("shop", 0.2)

        def both(metric: str, at: datetime) -> list[Series]:
            good = Series({"service": "shop", "env": "prod", "track": "stable"}, (Sample(at, 0.0),))
            return [*bad(metric, at), good]

        b.metrics.value = both
        assert (await b.ended(run)).ending_code == "guard.breached"


async def test_a_window_that_reaches_back_before_the_span_accuses_nobody(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.metrics.value = ratio("shop", 0.2)
        run = await to_go(b)
        began = b.clock.now()
        await b.ended(run)
        assert b.clock.now() - began >= timedelta(minutes=6)


async def test_a_thousandth_of_a_breach_is_none_four_minutes_fifty_do_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        b.metrics.value = ratio("shop", 0.2)
        await b.clock.advance(timedelta(minutes=4, seconds=50))
        b.metrics.value = ratio("shop", 0.001)
        await b.clock.advance(timedelta(minutes=20))
        assert b.run(run).state == "waiting"


async def test_missing_data_warns_and_escalates_but_never_returns(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        await b.clock.advance(timedelta(hours=2))
        assert b.run(run).state == "waiting"
        texts = [m.message.text for m in b.chat.messages]
        assert sum("guards have no data" in t for t in texts) == 2


async def test_a_guests_command_is_refused_and_audited(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        answer = await b.act("deploy", GUEST, environment=Environment.STAGING, version="v1.0.0-rc.1", service="shop")
        assert "guests may do nothing here" in answer.text
        assert any(e.action == "refused" and e.actor == GUEST.id for e in b.rows(Sealed))


async def test_what_a_dialog_refuses_is_audited_like_a_click(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        assert (await b.engine.desk.preview(Intent(name="abort", run=run), ADA)).ok
        before = len(b.rows(Sealed, action="refused"))
        assert not (await b.engine.desk.preview(Intent(name="abort", run=run), PIA)).ok
        refusals = b.rows(Sealed, action="refused")
        assert (len(refusals) - before, refusals[-1].actor) == (1, PIA.id)


async def test_the_same_payload_three_times_starts_one_run_and_answers_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        payload = {
            "actor": ADA.id, "name": "deploy", "environment": "staging", "version": "v1.0.0-rc.1", "service": "shop",
            "response_url": "https://slack.test/response",
        }  # fmt: skip
        received = [await b.engine.desk.receive("trigger-1", "command", payload) for _ in range(3)]
        assert [r is not None for r in received] == [True, False, False]
        await b.clock.run_until(lambda: len(b.chat.answers) == 1)
        await b.until("staging-1", "waiting")
        assert b.rows(Outgoing, kind="answer")[0].state == "sent"


async def test_headlines_are_posted_once_and_edited_in_place(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        await b.act("approve", PIA, run)
        await b.act("approve", SAM, run)
        await b.ended(run)
        await b.clock.run_until(lambda: not b.rows(Outgoing, state="pending") and not b.rows(Outgoing, state="sending"))
        roots = [m for m in b.chat.messages if not m.thread_ts]
        assert len(roots) == 1
        assert roots[0].edits > 2
        ids = [m.message_id for m in b.chat.messages]
        assert len(ids) == len(set(ids))


async def test_after_a_persons_retry_an_error_is_asked_again_as_often_as_before(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:

        def broken() -> None:
            raise Temporary("kubernetes", "timeout", "the API server did not answer in 10 s")

        b.outside.results["deploy one"] = broken  # type: ignore[assignment]
        run = await b.deploy()
        await b.act("approve", SAM, run)
        await b.until(run, "held")
        await b.act("retry", ADA, run)
        await b.until(run, "held")
        assert b.outside.done.count("deploy one") == 6


@pytest.mark.parametrize("hours", [-30, 30])
async def test_a_jump_of_the_wall_clock_neither_expires_nor_prolongs_an_approval_and_is_on_record(
    tmp_path: Path, hours: int
) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.clock.advance(timedelta(hours=23))
        jump = timedelta(hours=hours)
        await b.engine.shift_deadlines(jump, lambda: b.clock.set(b.clock.now() + jump))
        await b.clock.settle()
        assert b.run(run).state == "waiting"
        assert "clock.jumped" in [e.action for e in b.rows(Sealed)]
        await b.clock.advance(timedelta(minutes=59))
        assert b.run(run).state == "waiting"
        await b.clock.advance(timedelta(minutes=2))
        assert (await b.ended(run)).ending_code == "approval.expired"


async def test_a_message_that_slack_refuses_is_shown_without_its_blocks_and_holds_nobody_up(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.chat.faults = [Permanent("slack", "invalid_blocks", "Slack refused the blocks")]
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.clock.run_until(lambda: not b.rows(Outgoing, state=["pending", "sending"]))
        assert [m for m in b.chat.messages if m.message_id.startswith("headline")]
        assert [m for m in b.chat.messages if m.message_id.startswith("approval")]
