"""What comes in the very instant in which something else has just been decided: people are told what becomes of it, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import controls
from engine.answers import Answer
from engine.journal import Turn
from engine.ports import Ledger
from runbook.errors import StoreUnavailable
from runbook.values import Actor
from tests.engine.harness import ADA, SAM, Bench, bench, without_data


async def held(b: Bench) -> str:
    """A run whose first effect found no data."""
    b.outside.results["deploy one"] = lambda: without_data("deploy one")
    run = await b.deploy()
    await b.until(run, "waiting")
    await b.act("approve", SAM, run)
    await b.until(run, "held")
    return run


async def test_a_held_step_is_not_tried_again_by_who_comes_just_after_an_abort(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run_id = await held(b)

        def both(ledger: Ledger) -> Answer:
            turn = Turn(ledger, b.clock.now(), b.engine.settings.current)
            for act in (aborted, controls.retry):
                run = turn.run(run_id)
                assert run is not None
                answer = act(turn, run, SAM)
            return answer

        answer = await b.store.write(both)
        assert answer.code == "retry.stopping"
        b.engine.interpreter.wake(run_id)
        run = await b.ended(run_id)
        assert run.ending == "returned"
        (left,) = [step for step in b.steps(run_id) if step.title == "deploy one"]
        assert (left.state, left.outcome, left.code) == ("skipped", "fail", "aborted")
        assert b.outside.done.count("deploy one") == 1


def aborted(turn: Turn, run: Any, actor: Actor) -> Answer:
    return controls.abort(turn, run, actor, "enough")


async def test_the_engine_stops_in_good_order_though_the_store_cant_be_read(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy(actor=ADA)
        await b.until(run, "waiting")
        outbox = b.engine.outbox

        class Unreadable:
            async def read(self, look: Any) -> Any:
                raise StoreUnavailable("io", "the database file can't be read or written")

        store, outbox._store = outbox._store, Unreadable()  # type: ignore[assignment]
        await b.engine.stop(3.0)
        outbox._store = store
        assert all(lane.done() for lane in outbox._lanes)
