"""A rollback after a release is a run of its own: it ends by what it brought back, and nothing that people do stops it half way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from engine.answers import Answer, AnswerKind
from engine.records import Decision
from engine.views import StatusView
from runbook.plan import Plan
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.values import Environment
from tests.engine.harness import ADA, SAM, Act, Bench, bench, failing


@asynccontextmanager
async def rolling_back(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench on which `/forge rollback staging` takes v1.4.0 back in two steps."""

    async def prepare(request: Request, setting: Setting, ports: Ports) -> Prepared:
        steps = tuple(
            Act(title=title, world=str(tmp_path), on_fail="continue") for title in ("return web", "return api")
        )
        plan = Plan(
            procedure="rollback",
            service=request.service,
            environment=request.environment,
            version="v1.4.0",
            nodes=steps,
        )
        return Prepared(plan, ())

    async with bench(tmp_path) as here:
        here.engine.desk._procedures = {"rollback": prepare}.get
        yield here


async def asked(here: Bench, reason: str = "orders fail") -> Answer:
    return await here.act("rollback", ADA, environment=Environment.STAGING, service="shop", reason=reason)


async def test_a_rollback_after_a_release_ends_with_what_ran_before_and_names_who_asked(tmp_path: Path) -> None:
    async with rolling_back(tmp_path) as here:
        answer = await asked(here)
        run = await here.ended(answer.run)
        assert (run.ending, run.ending_code) == ("returned", "rollback.asked")
        assert run.ending_reason == "Ada asked for it: orders fail"
        assert here.outside.done == ["return web", "return api"]


async def test_a_rollback_that_failed_in_part_is_incomplete_and_the_rest_was_attempted(tmp_path: Path) -> None:
    async with rolling_back(tmp_path) as here:
        here.outside.results["return web"] = lambda: failing("return web")
        run = await here.ended((await asked(here)).run)
        assert run.ending == "incomplete"
        assert here.outside.done == ["return web", "return api"]


async def test_asking_again_aborting_or_pausing_doesnt_stop_a_rollback_half_way(tmp_path: Path) -> None:
    async with rolling_back(tmp_path) as here:
        here.outside.takes_s["return web"] = 60.0
        run = (await asked(here)).run
        for answer in (await asked(here), await here.act("abort", SAM, run), await here.act("pause", SAM, run)):
            assert (answer.kind, answer.code, answer.run) == (AnswerKind.INFO, "run.way_back", run)
        assert (await here.ended(run)).ending == "returned"
        assert here.outside.done == ["return web", "return api"]
        assert not here.outside.cancelled


async def test_the_status_says_what_was_released_last_and_what_was_rolled_back_since(tmp_path: Path) -> None:
    async with rolling_back(tmp_path) as here:
        for number, result in enumerate(("go", "no_go", "released", "rolled_back"), start=1):
            place = "staging" if result in ("go", "no_go") else "prod"
            decision = Decision(
                run=f"{place}-{number}", service="shop", environment=place, version="v1.4.0", result=result,
                release={}, approvers=[], at=here.clock.now() + timedelta(minutes=number),
            )  # fmt: skip
            await here.store.write(lambda ledger, row=decision: ledger.save(row))  # type: ignore[misc]
        view = (await here.act("status", ADA)).view
        assert isinstance(view, StatusView)
        assert {each.environment: each.result for each in view.decisions} == {"staging": "go", "prod": "rolled_back"}
