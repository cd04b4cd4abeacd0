"""Scenario 21."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from engine.records import Sealed
from runbook import series
from runbook.jobs import JobOrder
from runbook.policy import TriggersPolicy
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import good_life
from tests.scenarios.production import COMPATIBLE, ProductionStage, ProductionWorld, policy_with, production
from tests.scenarios.stage import offered, shown
from tests.scenarios.two_tracks import CANARY, STABLE

ASKS = policy_with(phase_s=1800.0, phase_max_s=3600.0, triggers=TriggersPolicy(critical_alerts="prompt"))
BRIEF = policy_with(phase_s=60.0, watch_s=900.0, quiet_s=300.0)
QUARTER = timedelta(minutes=15)


async def slow_queries(s: ProductionStage) -> None:
    """The migration has brought slow queries: on-call is asked."""
    await s.rolls_out_to(25)
    s.tracks.says(series.DB_SLOW_QUERIES, 40.0, STABLE)
    await s.until(lambda: bool(s.prompts()))
    await s.shown_all()


async def test_on_call_ignores_a_breachs_rollback_prompt_for_15_minutes_the_release_is_rolled_back_and_the_message_says_why(
    tmp_path: Path,
) -> None:
    async with production(tmp_path, world=ProductionWorld(COMPATIBLE)) as s:
        await slow_queries(s)
        [prompt], opened = s.prompts(), s.clock.now()
        [card] = s.cards_of("prompt")
        text = shown(card.message)
        assert "<!subteam^SONCALL>" in text
        assert "slow queries was above 5" in text
        assert set(offered(card.message)) == {"rollback", "extend", "continue"}
        assert any("slow queries" in upload.alt for upload in s.chat.uploads)
        await s.clock.advance(QUARTER - timedelta(seconds=20))
        assert (s.run().interrupt, 0 in s.weights) == (None, False)
        assert await s.ends() == "returned"
        assert s.run().ending_code == "prompt.unanswered"
        decided = datetime.fromisoformat(s.run().facts["decided_at"])
        assert decided == prompt.deadline
        assert timedelta() <= decided - opened <= QUARTER
        assert s.is_as_before()
        assert "on-call did not answer for 15 min" in s.run().ending_reason
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "slow queries was above 5" in message
        assert "on-call did not answer for 15 min" in message
        reminders = [text for text in s.announced if "unless somebody answers" in text]
        assert len(reminders) == 2
        [card] = s.cards_of("prompt")
        assert offered(card.message) == []
        assert "This button is dead" in await s.presses("olly", "extend")


async def test_a_critical_alert_that_the_policy_asks_about_is_rolled_back_when_nobody_answers(tmp_path: Path) -> None:
    async with production(tmp_path, policy=ASKS) as s:
        await s.rolls_out_to(25)
        s.tracks.says(series.LATENCY_P95, 1.5, CANARY)
        await s.until(lambda: bool(s.prompts()))
        assert s.run().interrupt is None
        assert await s.ends() == "returned"
        assert s.run().ending_code == "prompt.unanswered"
        assert "API p95 latency of the canary was above 1 s" in s.run().ending_reason
        assert s.is_as_before()


async def test_on_call_rolls_back_with_one_click_or_takes_more_time_or_lets_it_go_on_with_a_reason(
    tmp_path: Path,
) -> None:
    async with production(tmp_path, world=ProductionWorld(COMPATIBLE)) as s:
        await slow_queries(s)
        [prompt] = s.prompts()
        await s.presses("olly", "extend")
        assert s.prompts()[0].deadline >= prompt.deadline
        assert "may not" in await s.presses("max", "rollback") or not s.run().interrupt
        assert s.run().interrupt is None
        assert "is rolled back" in await s.presses("olly", "rollback")
        assert await s.ends() == "returned"
        assert "rolled back by Olly: slow queries was above 5" in s.run().ending_reason
        assert s.run().facts["weight_zero"]["web"]["seconds"] <= 1
        assert s.is_as_before()


async def test_what_on_call_let_go_on_keeps_the_release_from_being_declared_complete(tmp_path: Path) -> None:
    async with production(tmp_path, world=ProductionWorld(COMPATIBLE), policy=BRIEF) as s:
        await slow_queries(s)
        answer = await s.presses("olly", "continue", reason="an analyst's query, it is being stopped")
        assert "goes on" in answer
        s.tracks.says(series.DB_SLOW_QUERIES, 1.0, STABLE)
        run = await s.until_state("held", "ended")
        assert (run.state, s.at()) == ("held", "Completion criteria"), s.why()
        assert "slow queries: met in this run, although it went on" in next(
            step.reason for step in s.steps() if step.title == "Completion criteria"
        )


async def test_a_verification_job_that_fails_asks_on_call_and_unanswered_is_rolled_back(tmp_path: Path) -> None:
    world = ProductionWorld(COMPATIBLE)

    def bad_verification(order: JobOrder) -> JobLife:
        return (
            JobLife(exit_code=1, output="12 orders have no currency\n")
            if order.args == ("verify",)
            else good_life(order)
        )

    world.cluster.lives = bad_verification
    async with production(tmp_path, world=world) as s:
        await s.begins()
        await s.until(lambda: bool(s.prompts()))
        assert (s.run().state, s.weights) == ("held", [])
        assert (await s.until_state("ended")).ending == "returned"
        assert s.run().ending_code == "prompt.unanswered"
        assert "on-call did not answer for 15 min" in s.run().ending_reason
        assert s.is_as_before()


async def test_a_prompt_about_missing_data_only_escalates(tmp_path: Path) -> None:
    """Guards that see nothing for long: people are told, then on-call is called, and nothing is rolled back or asked to be."""
    async with production(tmp_path, policy=ASKS) as s:
        await s.rolls_out_to(5)
        s.tracks.trouble = lambda expression, at: None
        await s.clock.advance(timedelta(minutes=40))
        await s.shown_all()
        assert (s.weights, s.run().interrupt, s.prompts()) == ([5], None, [])
        told = [text for text in s.texts if "guards have no data" in text]
        assert ["<!subteam^SONCALL>" in text for text in told] == [False, True]
        assert "Nothing is rolled back for missing data" in told[1]
        assert len(s.rows(Sealed, action="guard.blind")) == 2
