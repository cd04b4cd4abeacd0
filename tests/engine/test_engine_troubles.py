"""Trouble inside the engine: a bug, a doubtful commit, a late click. It stays where it is, and people hear of it."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import inbox, interpreter, turns
from engine.guards import GuardEvaluator
from engine.ports import Message
from engine.records import Outgoing
from engine.spans import Watched
from runbook.errors import StoreUnavailable, Temporary
from runbook.plan import Result
from runbook.ports import Series
from runbook.values import Environment
from runbook.verdicts import Verdict
from tests.engine.harness import ADA, SAM, Bench, bench, ratio


async def to_go(b: Bench, **more: Any) -> str:
    """A run that waits for its go."""
    run = await b.deploy(**more)
    await b.until(run, "waiting")
    assert (await b.act("approve", SAM, run)).ok
    await b.clock.run_until(lambda: b.run(run).position == 5)
    return run


async def test_a_bug_in_one_runs_guards_leaves_the_others_guarded_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = GuardEvaluator._judge

    async def broken(self: Any, watch: Any, *rest: Any) -> None:
        if watch.span.service == "desk":
            raise KeyError("desk")
        await judge(self, watch, *rest)

    monkeypatch.setattr(GuardEvaluator, "_judge", broken)
    async with bench(tmp_path) as b:
        desk, shop = await to_go(b, service="desk"), await to_go(b)
        b.metrics.value = ratio("shop", 0.2)
        assert (await b.ended(shop)).ending == "returned"
        assert b.run(desk).state == "waiting"
        told = [
            m.message.text
            for m in b.chat.messages
            if desk in m.message.text and "guards have no data" in m.message.text
        ]
        assert told


async def test_a_surprising_answer_about_metrics_warns_and_returns_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)

        def surprise(metric: str, at: datetime) -> list[Series]:
            raise ValueError("never seen before")

        b.metrics.value = surprise
        await b.clock.advance(timedelta(minutes=5))
        assert b.run(run).state == "waiting"
        texts = [m.message.text for m in b.chat.messages]
        assert any("guards have no data" in text for text in texts)
        assert not any("never seen before" in text for text in texts)


async def test_a_breach_whose_commit_was_doubtful_still_brings_the_previous_state_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = GuardEvaluator._write_breach
    doubted: list[Watched] = []

    def doubtful(self: Any, span: Watched, verdict: Any, ledger: Any) -> bool:
        if not doubted:
            doubted.append(span)
        return write(self, span, verdict, ledger)

    monkeypatch.setattr(GuardEvaluator, "_write_breach", doubtful)
    async with bench(tmp_path) as b:
        run = await to_go(b)
        kept = b.engine.guards._store.write

        async def lost_answer(change: Any) -> Any:
            before = len(doubted)
            value = await kept(change)
            if len(doubted) > before:
                raise StoreUnavailable("doubtful", "nobody can tell", "")
            return value

        monkeypatch.setattr(b.engine.guards._store, "write", lost_answer)
        b.metrics.value = ratio("shop", 0.2)
        assert (await b.ended(run)).ending == "returned"
        assert doubted


async def test_on_the_way_back_an_error_is_asked_again_before_the_return_is_called_incomplete(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)
        errors = [1, 2]

        def shaky() -> Result:
            if errors:
                errors.pop()
                return Result((Verdict.error("return one", "kubernetes.unavailable", "the API gave no answer"),))
            return Result((Verdict.passed("return one", "it is back"),))

        b.outside.results["return one"] = shaky
        await b.act("abort", ADA, run)
        assert (await b.ended(run)).ending == "returned"
        assert b.outside.done.count("return one") == 3


async def test_a_step_held_again_before_it_began_is_told_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.numbers["error"] = None
        run = await b.deploy()
        await b.until(run, "waiting")
        b.numbers["error"] = Temporary("github", "unavailable", "GitHub gave no answer")
        await b.act("approve", SAM, run)
        await b.until(run, "held")
        await b.act("retry", ADA, run)
        await b.until(run, "held")
        await b.clock.settle()
        assert sum(f"{run} is held" in m.message.text for m in b.chat.messages) == 2


async def test_a_click_after_the_deadline_approves_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.engine.interpreter.stop()  # nobody has looked at the deadline yet
        await b.clock.advance(timedelta(hours=24, seconds=1))
        answer = await b.act("approve", SAM, run)
        assert answer.code == "approval.expired"
        assert b.steps(run)[1].code == "approval.expired"


async def test_a_click_whose_commit_was_doubtful_wakes_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        kept = b.engine.desk._store.write
        lost: list[str] = []

        async def lost_answer(change: Any) -> Any:
            value = await kept(change)
            if getattr(value, "code", "") == "approval.granted" and not lost:
                lost.append(value.run)
                raise StoreUnavailable("doubtful", "nobody can tell", "")
            return value

        monkeypatch.setattr(b.engine.desk._store, "write", lost_answer)
        payload = {"actor": SAM.id, "name": "approve", "run": run}
        await b.engine.desk.receive("click:1", "click", payload)
        await b.clock.run_until(lambda: b.run(run).position == 5)
        assert lost


async def test_a_bug_between_two_steps_is_told_to_on_call_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")

        def broken(*_: Any) -> None:
            raise KeyError("secret")

        monkeypatch.setattr(turns, "_after", broken)
        await b.act("approve", SAM, run)
        b.engine.interpreter.wake(run)
        await b.clock.settle()
        told = [m.message for m in b.chat.messages if "can't go on" in m.message.text]
        assert len(told) == 1
        assert "correlation id" in str(told[0].blocks)
        assert "secret" not in str(told[0])


async def test_a_services_lock_names_the_command_that_releases_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        where: dict[str, Any] = {"environment": Environment.STAGING, "service": "shop"}
        locked = await b.act("lock", ADA, reason="load test", **where)
        assert "unlock staging --service shop" in locked.text
        assert "unlock staging --service shop" in (await b.act("lock", ADA, **where)).remedy
        wrong = await b.act("unlock", ADA, environment=Environment.STAGING)
        assert "unlock staging --service shop" in wrong.text
        run = await b.deploy()
        queued = await b.act("status", ADA, run)
        assert "unlock staging --service shop" in queued.view.why


async def test_a_message_that_cannot_be_rendered_silences_none_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        render = b.engine.outbox._renderer.render

        def broken(ledger: Any, outgoing: Outgoing, now: datetime) -> Message | None:
            if outgoing.subject == "headline:staging-1":
                raise KeyError("a bug")
            return render(ledger, outgoing, now)

        monkeypatch.setattr(b.engine.outbox._renderer, "render", broken)
        await b.deploy()
        second = await b.deploy(service="desk")
        await b.clock.run_until(lambda: any(second in m.message.text for m in b.chat.messages))


@pytest.mark.parametrize("trouble", [StoreUnavailable("full", "the disk is full", ""), None], ids=["store", "bug"])
async def test_a_payload_is_worked_on_when_the_store_is_back_and_a_bug_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: StoreUnavailable | None
) -> None:
    monkeypatch.setattr(inbox, "STORE_WAIT_S", 0.01)
    async with bench(tmp_path) as b:
        act, calls = b.engine.desk.act, itertools.count()

        async def troubled(*arguments: Any, **more: Any) -> Any:
            if trouble is None:
                raise KeyError("a bug")
            if next(calls) < 10:
                raise trouble
            return await act(*arguments, **more)

        monkeypatch.setattr(b.engine.desk, "act", troubled)
        payload = {"actor": ADA.id, "name": "help", "response_url": "https://hooks.test/1"}
        await b.engine.desk.receive("command:1", "command", payload)
        await b.clock.run_until(lambda: bool(b.chat.answers))
        assert ("Correlation id" in b.chat.answers[0][1].text) == (trouble is None)


async def test_a_store_that_cannot_be_read_for_a_moment_holds_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "STORE_RETRY_S", 0.01)
    async with bench(tmp_path) as b:
        b.outside.takes_s["deploy one"] = 60.0
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.act("approve", SAM, run)
        await b.clock.run_until(lambda: b.outside.done[-1:] == ["deploy one"])
        read, faults = b.engine.interpreter._store.read, [StoreUnavailable("connection", "it broke", "")] * 3

        async def broken(look: Any) -> Any:
            if faults:
                raise faults.pop()
            return await read(look)

        monkeypatch.setattr(b.engine.interpreter._store, "read", broken)
        b.engine.interpreter.wake(run)
        await b.clock.run_until(lambda: b.run(run).position == 5)
        assert b.outside.done.count("deploy one") == 1
