"""Prompts to on-call. Runbook: Rollback Triggers. Scenarios 19, 21 and 22 on the engine, with simulated time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.intents import Intent
from engine.records import Outgoing, Sealed
from runbook.errors import StoreUnavailable
from runbook.plan import PROMPT, Plan, Result
from runbook.verdicts import Verdict
from tests.engine import harness
from tests.engine.asking import (
    ASKING,
    ERRORS,
    MITIGATE_S,
    ONA,
    SHELL,
    SLOW,
    VAL,
    asked,
    bad_between,
    button_of,
    card,
    notes,
    offered,
    open_prompt,
    press,
    prompts,
    recorded,
    watched_by,
)
from tests.engine.harness import ADA, GUEST, PIA, SAM, Bench, bench, failing, without_data

FOREVER = (0.0, 1e9)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda plan: monkeypatch.setattr(harness, "plan_for", plan)


async def at_go(b: Bench) -> str:
    """A run that waits for its go, under guards whose windows lie wholly in it."""
    b.metrics.value = bad_between(b.clock.now())
    run = await b.deploy()
    await b.until(run, "waiting")
    await b.clock.advance(timedelta(minutes=2))
    return run


async def breached(b: Bench) -> str:
    """A run about which on-call is asked."""
    run = await at_go(b)
    b.metrics.value = bad_between(b.clock.now(), FOREVER)
    await asked(b, run)
    return run


# --- what a guard does ------------------------------------------------------------------------------------------------


async def test_a_critical_alert_at_4_min_50_s_does_nothing_and_at_5_min_it_triggers(tmp_path: Path, use: Any) -> None:
    use(watched_by(ERRORS))
    async with bench(tmp_path) as b:
        run = await at_go(b)
        begin = b.clock.now()
        b.metrics.value = bad_between(begin, FOREVER)
        await b.clock.advance(290.0)
        assert (b.run(run).state, b.run(run).interrupt) == ("waiting", None)
        ended = await b.ended(run)
        assert ended.ending_code == "guard.breached"
        assert ended.ended_at is not None
        assert 300.0 <= (ended.ended_at - begin).total_seconds() <= 330.0


async def test_a_breach_that_asks_first_changes_nothing_but_asks(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        assert b.run(run).state == "waiting"
        assert b.run(run).interrupt is None
        assert [p["name"] for p in b.run(run).facts["triggers"]] == ["error rate"]
        shown = card(b)
        assert shown.broadcast
        assert "<!subteam^SONCALL>" in shown.message.text
        assert "error rate was above 3 % for 5 min" in shown.message.text
        assert offered(b) == ["rollback", "extend", "continue"]
        assert any("error rate" in u.alt for u in b.chat.uploads)
        assert "On-call is asked until" in (await b.act("status", ADA, run)).view.why


async def test_a_prompt_that_is_ignored_for_15_minutes_rolls_back_and_says_why(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        opened = open_prompt(b, run)
        await b.clock.advance(timedelta(seconds=MITIGATE_S - 1))
        assert b.run(run).state == "waiting"
        ended = await b.ended(run)
        assert ended.ending == "returned"
        assert ended.ending_code == "prompt.unanswered"
        assert "on-call did not answer for 15 min" in ended.ending_reason
        assert ended.facts["decided_at"] == opened.deadline.isoformat()
        await b.clock.settle()
        assert any("on-call did not answer for 15 min" in str(m.message) for m in b.chat.messages)
        assert offered(b) == []
        assert "rolled back" in card(b).message.text
        dead = await press(b, opened, "continue", reason="too late")
        assert (dead.ok, dead.code) == (False, "prompt.closed")
        assert "did not answer" in dead.text


async def test_on_call_is_reminded_every_five_minutes(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        await b.ended(run)
        reminded = [text for text in notes(b) if "unless somebody answers" in text]
        assert ["in 10 min" in reminded[0], "in 5 min" in reminded[1], len(reminded)] == [True, True, 2]
        assert all("<!subteam^SONCALL>" in text for text in reminded)


async def test_roll_back_is_one_click_and_happens_at_once(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        at = b.clock.now()
        assert (await press(b, open_prompt(b, run), "rollback")).ok
        ended = await b.ended(run)
        assert (ended.ending, ended.ended_at) == ("returned", at)
        assert "rolled back by Ona: error rate was above 3 %" in ended.ending_reason
        assert ended.facts["decided_at"] == at.isoformat()
        (prompt,) = prompts(b, run)
        assert (prompt.state, prompt.answered_by_name) == ("rolled_back", "Ona")
        (left,) = b.rows(Sealed, action="run.left")
        assert left.evidence["verdicts"][0]["code"] == "guard.breached"


async def test_give_me_15_minutes_moves_the_deadline_from_now_as_often_as_wanted(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        for _ in range(3):
            await b.clock.advance(timedelta(minutes=14))
            assert (await press(b, open_prompt(b, run), "extend")).ok
            assert open_prompt(b, run).deadline == b.clock.now() + timedelta(seconds=MITIGATE_S)
        assert "3 times" in str(card(b).message)
        assert [e.actor for e in b.rows(Sealed, action="prompt.extended")] == [ONA.id] * 3
        begin = b.clock.now()
        ended = await b.ended(run)
        assert ended.ended_at == begin + timedelta(minutes=15)
        assert "not mitigated within 57 min" in ended.ending_reason


async def test_continue_takes_a_reason_and_the_guard_asks_again_only_after_its_condition_has_cleared(
    tmp_path: Path, use: Any
) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        assert (await press(b, open_prompt(b, run), "continue")).code == "prompt.reason"
        assert (await press(b, open_prompt(b, run), "continue", reason="a partner's outage")).ok
        await b.clock.advance(timedelta(hours=2))
        assert b.run(run).state == "waiting"
        assert [p.state for p in prompts(b, run)] == ["continued"]
        assert any("lets it go on" in text for text in notes(b))
        assert "Ona let it go on" in str(card(b).message)
        assert "a partner's outage" in str(card(b).message)
        b.metrics.value = bad_between(b.clock.now(), (60.0, 1e9))
        await b.clock.advance(45.0)
        assert [p.state for p in prompts(b, run)] == ["over"]
        again = await asked(b, run)
        assert again.number == 2


async def test_a_condition_that_clears_for_long_enough_closes_its_prompt(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        b.metrics.value = bad_between(b.clock.now())
        await b.clock.advance(timedelta(minutes=4, seconds=50))
        assert offered(b)
        await b.clock.advance(timedelta(seconds=40))
        (prompt,) = prompts(b, run)
        assert prompt.state == "closed"
        assert "has been gone for 5 min" in prompt.answer_reason
        assert offered(b) == []
        assert any("has recovered" in text for text in notes(b))
        await b.clock.advance(timedelta(hours=1))
        assert b.run(run).state == "waiting"
        b.metrics.value = bad_between(b.clock.now(), FOREVER)
        assert (await asked(b, run)).number == 2


async def test_a_condition_that_clears_for_a_moment_doesnt_stop_the_clock(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        b.metrics.value = bad_between(b.clock.now(), (240.0, 1e9))
        assert (await b.ended(run)).ending_code == "prompt.unanswered"


# --- who may, and when ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "code"), [(VAL, "authority.role_missing"), (GUEST, "authority.refused")])
@pytest.mark.parametrize("action", ["rollback", "extend", "continue"])
async def test_a_click_by_somebody_without_the_role_is_refused_and_audited(
    tmp_path: Path, use: Any, who: Any, code: str, action: str
) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        answer = await press(b, open_prompt(b, run), action, who, reason="because")
        assert (answer.ok, answer.code) == (False, code)
        assert [e.actor for e in b.rows(Sealed, action="refused")] == [who.id]
        assert open_prompt(b, run).extended == 0


async def test_the_command_line_can_press_nothing(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        for action in ("rollback", "extend", "continue"):
            assert (await press(b, open_prompt(b, run), action, SHELL, reason="x")).code == "authority.slack_only"
        assert b.run(run).state == "waiting"


@pytest.mark.parametrize("second", ["continue", "rollback"])
async def test_of_two_people_who_click_at_once_one_decides_and_the_other_is_told_who_did(
    tmp_path: Path, use: Any, second: str
) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        prompt = open_prompt(b, run)
        act = b.engine.desk.act  # the bench's own waits for the other's to settle
        first, other = await asyncio.gather(
            act(Intent(name="continue", button=button_of(b, prompt, "continue"), reason="known"), ONA),
            act(Intent(name=second, button=button_of(b, prompt, second), reason="also known"), ADA),
        )
        await b.clock.settle()
        assert (first.ok, other.ok) == (True, False)
        assert "Ona" in other.text
        await b.clock.advance(timedelta(minutes=30))
        assert b.run(run).state == "waiting"


async def test_a_breach_that_rolls_back_by_itself_closes_what_on_call_was_asked(tmp_path: Path, use: Any) -> None:
    """Scenario 11, with a prompt beside the pending approval."""
    use(watched_by(SLOW, ERRORS))
    async with bench(tmp_path) as b:
        run = await at_go(b)
        begin = b.clock.now()

        def both(metric: str, at: Any) -> Any:
            bad = at >= begin + timedelta(minutes=3 if "error" in metric else 0)
            return [recorded(metric, 9.0 if bad else 0.0, at)]

        b.metrics.value = both
        prompt = await asked(b, run)
        assert prompt.trigger == "migration_regression"
        ended = await b.ended(run)
        assert ended.ending_code == "guard.breached"
        await b.clock.settle()
        (closed,) = prompts(b, run)
        assert closed.state == "closed"
        assert offered(b) == []
        dead = await press(b, prompt, "rollback")
        assert "This button is dead" in dead.text


async def test_when_the_run_ends_its_prompts_close_and_their_buttons_say_so(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        prompt = open_prompt(b, run)
        await b.act("approve", PIA, run)
        await b.act("approve", SAM, run)
        assert (await b.ended(run)).ending == "completed"
        await b.clock.settle()
        dead = await press(b, prompt, "rollback")
        assert (dead.ok, "has ended" in dead.text) == (False, True)
        assert offered(b) == []


# --- missing data -----------------------------------------------------------------------------------------------------


async def test_missing_data_prompts_no_rollback_it_only_tells_and_escalates(tmp_path: Path, use: Any) -> None:
    """Scenario 21, its second sentence."""
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await at_go(b)
        b.metrics.value = lambda metric, at: []
        await b.clock.advance(timedelta(hours=3))
        assert b.run(run).state == "waiting"
        assert prompts(b, run) == []
        told = [text for text in notes(b) if "guards have no data" in text]
        assert len(told) == 2
        assert "<!subteam^SONCALL>" in told[1]


async def test_a_prompt_whose_data_go_missing_stays_open_until_its_deadline(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        b.metrics.value = lambda metric, at: []
        assert (await b.ended(run)).ending_code == "prompt.unanswered"


async def test_what_nobody_measures_says_nothing(tmp_path: Path, use: Any) -> None:
    use(watched_by(SLOW))
    async with bench(tmp_path) as b:
        await at_go(b)
        b.metrics.value = lambda metric, at: []
        run = await b.deploy(service="desk")
        await b.clock.advance(timedelta(hours=2))
        assert not [text for text in notes(b) if run in text and "no data" in text]


# --- steps ------------------------------------------------------------------------------------------------------------


async def held_by_its_step(b: Bench) -> str:
    b.outside.results["deploy one"] = lambda: failing("deploy one")
    run = await b.deploy()
    await b.until(run, "held")
    return run


async def test_a_step_whose_failure_asks_holds_the_run_until_on_call_lets_it_go_on(tmp_path: Path, use: Any) -> None:
    use(watched_by(on_fail=PROMPT))
    async with bench(tmp_path) as b:
        run = await held_by_its_step(b)
        assert "deploy one went wrong" in card(b).message.text
        assert (await press(b, open_prompt(b, run), "continue", reason="harmless")).ok
        await b.until(run, "waiting")
        row = b.steps(run)[1]
        assert (row.state, row.outcome, row.code) == ("done", "fail", "prompt.continued")
        assert "Ona lets it go on: harmless" in row.reason


async def test_a_step_whose_failure_asks_is_rolled_back_unanswered(tmp_path: Path, use: Any) -> None:
    use(watched_by(on_fail=PROMPT))
    async with bench(tmp_path) as b:
        run = await held_by_its_step(b)
        await b.clock.advance(timedelta(minutes=14, seconds=59))
        assert b.run(run).state == "held"
        ended = await b.ended(run)
        assert (ended.ending, ended.ending_code) == ("returned", "prompt.unanswered")


async def test_an_edit_of_the_policy_changes_no_question_of_a_release_under_way(tmp_path: Path, use: Any) -> None:
    def planned_with_five_minutes(*of: Any) -> Plan:
        return replace(watched_by(on_fail=PROMPT)(*of), about={"durations": {"mitigate_s": 300.0}})

    use(planned_with_five_minutes)
    async with bench(tmp_path) as b:
        run = await held_by_its_step(b)
        prompt = open_prompt(b, run)
        assert prompt.deadline - prompt.opened_at == timedelta(minutes=5)
        await b.clock.advance(timedelta(minutes=5))
        assert (await b.ended(run)).ending_code == "prompt.unanswered"


async def test_a_step_whose_failure_asks_can_be_retried_and_asks_again(tmp_path: Path, use: Any) -> None:
    use(watched_by(on_fail=PROMPT))
    async with bench(tmp_path) as b:
        run = await held_by_its_step(b)
        first = open_prompt(b, run)
        assert (await b.act("retry", ADA, run)).ok
        await b.until(run, "held")
        assert [p.state for p in prompts(b, run)] == ["closed", "open"]
        assert "Ada tries the step again" in (await press(b, first, "rollback")).text
        del b.outside.results["deploy one"]
        await b.act("retry", ADA, run)
        assert (await b.until(run, "waiting")).state == "waiting"
        assert [p.state for p in prompts(b, run)] == ["closed", "closed"]


async def test_a_step_without_data_is_held_and_asks_nobody_whether_to_roll_back(tmp_path: Path, use: Any) -> None:
    use(watched_by(on_fail=PROMPT))
    async with bench(tmp_path) as b:
        b.outside.results["deploy one"] = lambda: without_data("deploy one")
        run = await b.deploy()
        await b.until(run, "held")
        await b.clock.advance(timedelta(hours=2))
        assert b.run(run).state == "held"
        assert prompts(b, run) == []


# --- restarts and the clock -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["ignored", "extended", "continued", "recovered"])
async def test_a_restart_in_the_middle_changes_nothing(tmp_path: Path, use: Any, deed: str) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        clock, chat, outside, metrics = b.clock, b.chat, b.outside, b.metrics
        deadline = open_prompt(b, run).deadline
        if deed == "extended":
            await clock.advance(timedelta(minutes=10))
            await press(b, open_prompt(b, run), "extend")
            deadline = open_prompt(b, run).deadline
        if deed == "continued":
            await press(b, open_prompt(b, run), "continue", reason="known")
        if deed == "recovered":
            metrics.value = bad_between(clock.now())
        await clock.advance(timedelta(minutes=2))
    clock.set(clock.now() + timedelta(minutes=4))
    async with bench(tmp_path, clock=clock, chat=chat, outside=outside, metrics=metrics) as b:
        if deed in ("ignored", "extended"):
            ended = await b.ended(run)
            assert (ended.ending_code, ended.ended_at) == ("prompt.unanswered", deadline)
        else:
            await clock.advance(timedelta(hours=2))
            assert b.run(run).state == "waiting"
            assert [p.state for p in prompts(b, run)] == [{"recovered": "closed"}.get(deed, deed)]


async def test_a_deadline_that_passed_while_the_bot_was_down_is_kept_after_a_look_at_what_came_meanwhile(
    tmp_path: Path, use: Any
) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        clock, chat, outside, metrics = b.clock, b.chat, b.outside, b.metrics
    clock.set(clock.now() + timedelta(minutes=40))
    begin = clock.now()
    async with bench(tmp_path, clock=clock, chat=chat, outside=outside, metrics=metrics) as b:
        ended = await b.ended(run)
        assert ended.ending_code == "prompt.unanswered"
        assert ended.ended_at is not None
        assert ended.ended_at - begin <= timedelta(seconds=30)


async def test_a_condition_that_cleared_while_the_bot_was_down_is_no_reason_to_roll_back(
    tmp_path: Path, use: Any
) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        clock, chat, outside, metrics = b.clock, b.chat, b.outside, b.metrics
        metrics.value = bad_between(clock.now(), (0.0, 120.0))
    clock.set(clock.now() + timedelta(minutes=40))
    async with bench(tmp_path, clock=clock, chat=chat, outside=outside, metrics=metrics) as b:
        await clock.advance(timedelta(hours=1))
        assert b.run(run).state == "waiting"
        assert [p.state for p in prompts(b, run)] == ["closed"]


async def test_what_is_left_to_answer_in_stays_when_the_wall_clock_jumps(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        jump = timedelta(hours=3)
        at = b.clock.now() + jump
        await b.engine.shift_deadlines(jump, lambda: b.clock.set(at))
        b.metrics.value = bad_between(at, FOREVER)
        await b.clock.settle()
        assert b.run(run).state == "waiting"
        assert open_prompt(b, run).deadline == at + timedelta(seconds=MITIGATE_S)
        assert (await b.ended(run)).ended_at == at + timedelta(seconds=MITIGATE_S)


async def test_a_question_is_one_card_however_often_it_changes(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        await press(b, open_prompt(b, run), "extend")
        await b.ended(run)
        await b.clock.run_until(lambda: not b.rows(Outgoing, state=["pending", "sending"]))
        assert card(b).edits >= 2


async def test_a_deadline_that_comes_while_the_store_is_in_trouble_is_kept_when_it_is_back(
    tmp_path: Path, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        run = await breached(b)
        store, faults = b.engine.prompts._store, [StoreUnavailable("full", "the disk is full", "")] * 5
        write = store.write

        async def troubled(change: Any) -> Any:
            if faults and not prompts(b, run, state="rolled_back") and b.clock.now() >= deadline:
                raise faults.pop()
            return await write(change)

        deadline = open_prompt(b, run).deadline
        monkeypatch.setattr(store, "write", troubled)
        ended = await b.ended(run)
        assert ended.ending_code == "prompt.unanswered"
        assert faults == []


async def test_two_guards_ask_on_two_cards_and_the_first_deadline_closes_the_other(tmp_path: Path, use: Any) -> None:
    late = replace(ASKING, name="errors for long", for_s=420.0)
    use(watched_by(ASKING, late))
    async with bench(tmp_path) as b:
        run = await breached(b)
        await b.clock.run_until(lambda: len(prompts(b, run)) == 2)
        await b.clock.settle()
        assert offered(b, 1) == offered(b, 2) == ["rollback", "extend", "continue"]
        await b.ended(run)
        assert [p.state for p in prompts(b, run)] == ["rolled_back", "closed"]
        await b.clock.settle()
        assert offered(b, 1) == offered(b, 2) == []
        assert "has left the plan" in prompts(b, run)[1].answer_reason


async def test_what_a_rollback_would_do_is_on_the_card(tmp_path: Path, use: Any) -> None:
    use(watched_by(ASKING))
    async with bench(tmp_path) as b:
        b.outside.results["look"] = lambda: Result(
            (Verdict.passed("look", "fine"),), {"previous": {"web": {"web": "r.test/shop@sha256:" + "ab" * 32}}}
        )
        await breached(b)
        text = str(card(b).message.blocks)
        assert "What a rollback would do" in text
        assert "Traffic goes back to shop@sha256:abababababab" in text
