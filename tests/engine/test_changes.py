"""What a run brings: asked once before it is opened, kept with it, shown on its card, in its plan and in its report; and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engine.changes as changes
from engine import present
from engine.changes import changes_view, keep_changes, look_up_changes
from engine.journal import Turn
from engine.records import Decision, RunChanges
from engine.report import ReportView, gather
from engine.views import ApprovalView, ChangesView, PlanView
from messages.report_page import report_page
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.plan import Plan, to_json
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.source import Changes, CommitInfo, PullRequest
from runbook.steps.control import Approval
from runbook.values import Role
from tests.engine.harness import ADA, SAM, Bench, Look, bench
from tests.engine.places_known import DEV, PROD, STAGING, Known, known_places, release, sha
from tests.fakes.clock import NOON
from tests.runbook.fake_source import FakeSource


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    with known_places(tmp_path) as made:
        yield made


def plan_of(found: Any, environment: Any = STAGING, procedure: str = "") -> Plan:
    about = {"release": None if found is None else to_json(found)}
    version = "" if found is None else found.version
    return Plan(
        procedure=procedure or environment.value, service="shop", environment=environment, version=version, nodes=(),
        about=about,
    )  # fmt: skip


async def looked(known: Known, plan: Plan) -> ChangesView | None:
    return changes_view(await look_up_changes(known.ports, known.setting, plan))


# --- what is asked ------------------------------------------------------------------------------------------------------


async def test_the_commits_since_what_runs_there_are_told_with_their_pull_requests(known: Known) -> None:
    known.pushed(2)
    pull = PullRequest(7, "Currencies", "Grace", "https://github.example/acme/shop/pull/7")
    known.source.push(sha(3), "Merge currencies", "Grace", pull=pull)
    await known.told("go", release("v1.4.0-rc.1", sha(1)))
    found = await look_up_changes(known.ports, known.setting, plan_of(release("v1.4.0-rc.2", sha(3))))
    assert found is not None
    assert (found["base"], found["base_version"]) == (sha(1), "v1.4.0-rc.1")
    assert (found["head"], found["head_version"]) == (sha(3), "v1.4.0-rc.2")
    assert (found["relation"], found["total"], found["trouble"]) == ("ahead", 2, "")
    assert [each["title"] for each in found["commits"]] == ["Merge currencies", "Change 2"]
    assert found["pull_requests"] == [{"number": 7, "title": "Currencies", "author": "Grace", "url": pull.url}]
    assert found["url"].endswith(f"/compare/{sha(1)}...{sha(3)}")


@pytest.mark.parametrize(
    ("environment", "result"), [(DEV, "validated"), (STAGING, "go"), (PROD, "released")], ids=lambda each: str(each)
)
async def test_what_runs_is_what_got_its_result_in_that_environment(
    known: Known, environment: Any, result: str
) -> None:
    known.pushed(3)
    for other in {"validated", "go", "released"} - {result}:
        await known.told(other, release("v9", sha(2)))
    await known.told(result, release("v1", sha(1)))
    view = await looked(known, plan_of(release("v2", sha(3)), environment))
    assert view is not None
    assert (view.base_version, view.total) == ("v1", 2)


async def test_in_production_what_was_rolled_back_is_not_what_runs(known: Known) -> None:
    known.pushed(3)
    await known.told("released", release("v1.3.0", sha(1)))
    await known.told("released", release("v1.4.0", sha(2)))
    await known.told("rolled_back", release("v1.4.0", sha(2)))
    view = await looked(known, plan_of(release("v1.4.1", sha(3)), PROD))
    assert view is not None
    assert (view.base_version, view.total) == ("v1.3.0", 2)


async def test_the_first_release_and_the_very_same_commit_ask_github_nothing(known: Known) -> None:
    view = await looked(known, plan_of(release("v1", sha(1))))
    assert view is not None
    assert view.relation == "first"
    await known.told("go", release("v1", sha(1)))
    view = await looked(known, plan_of(release("v1.0.0-rc.2", sha(1))))
    assert view is not None
    assert view.relation == "identical"
    assert known.source.asked == []


async def test_an_older_version_is_told_as_older(known: Known) -> None:
    known.pushed(3)
    await known.told("go", release("v1.4.0-rc.3", sha(3)))
    view = await looked(known, plan_of(release("v1.4.0-rc.1", sha(1))))
    assert view is not None
    assert (view.relation, view.total) == ("behind", 0)


@pytest.mark.parametrize(
    "error", [Temporary("github", "x", "GitHub is away"), Permanent("github", "x", "GitHub is away")]
)
async def test_a_github_that_is_away_leaves_words_and_holds_nothing_up(known: Known, error: ForgeError) -> None:
    known.pushed(2)
    await known.told("go", release("v1", sha(1)))
    known.source.errors["changes"] = error
    view = await looked(known, plan_of(release("v2", sha(2))))
    assert view is not None
    assert (view.relation, view.trouble) == ("", "GitHub is away")


async def test_a_github_that_hangs_is_given_up(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    known.pushed(2)
    await known.told("go", release("v1", sha(1)))
    monkeypatch.setattr(changes, "LONGEST_S", 0.05)

    async def hang(repository: str, base: str, head: str) -> Changes | None:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(known.source, "changes", hang)
    view = await looked(known, plan_of(release("v2", sha(2))))
    assert view is not None
    assert "no answer within" in view.trouble


async def test_a_commit_that_github_lost_is_said(known: Known) -> None:
    known.pushed(2)
    await known.told("go", release("v1", sha(77)))
    view = await looked(known, plan_of(release("v2", sha(2))))
    assert view is not None
    assert f"GitHub doesn't know v1 ({sha(77)[:12]}" in view.trouble


async def test_plans_that_bring_no_release_have_no_changes(known: Known) -> None:
    wanted = release("v1", sha(1))
    for plan in (plan_of(None), plan_of(wanted, procedure="contract"), plan_of(wanted, procedure="rollback")):
        assert await look_up_changes(known.ports, known.setting, plan) is None
    blind = replace(known.ports, source=None)
    assert await look_up_changes(blind, known.setting, plan_of(wanted)) is None


# --- where it is shown --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def releasing(tmp_path: Path) -> AsyncIterator[tuple[Bench, FakeSource]]:
    """A bench whose deployments bring the commit that their version names: `v1.0.0-rc.3` is commit 3."""

    async def staging(request: Request, setting: Setting, ports: Ports) -> Prepared:
        found = replace(release(request.version, sha(int(request.version[-1]))), service=request.service)
        nodes = (
            Look(title="look", world=str(tmp_path)),
            Approval(title="ship it", roles=(Role.SERVICE_OWNER,), expires_s=86400.0),
        )
        about = {"release": to_json(found)}
        plan = Plan(
            procedure="staging", service=request.service, environment=request.environment, version=request.version,
            nodes=nodes, about=about,
        )  # fmt: skip
        return Prepared(plan, ())

    source = FakeSource()
    async with bench(tmp_path) as here:
        here.engine.desk._procedures = {"staging": staging}.get
        here.engine.interpreter._procedures = {"staging": staging}.get
        here.engine.desk._ports = replace(here.engine.desk._ports, source=source)
        yield here, source


def card_of(here: Bench, run: str) -> ApprovalView:
    def look(ledger: Any) -> ApprovalView | None:
        turn = Turn(ledger, here.clock.now(), here.engine.desk._settings.current)
        found = turn.run(run)
        assert found is not None
        return present.approval_card(turn, found, 1, 1)

    card = here.store.read_now(look)
    assert card is not None
    return card


async def test_the_approval_s_card_the_plan_and_the_report_say_what_the_run_brings(tmp_path: Path) -> None:
    async with releasing(tmp_path) as (here, source):
        for number in range(1, 4):
            source.push(sha(number), f"Change {number} <!channel>", "Ada & <@U1>")
        await _went_well(here, "v1.0.0-rc.1")
        plan = await here.act("plan", ADA, environment=STAGING, version="v1.0.0-rc.3", service="shop")
        assert isinstance(plan.view, PlanView)
        assert plan.view.changes is not None
        assert plan.view.changes.total == 2
        assert here.rows(RunChanges) == []
        run = await here.deploy("v1.0.0-rc.3")
        await here.until(run, "waiting")
        card = card_of(here, run)
        assert card.changes == plan.view.changes
        shown = "\n".join(str(block) for m in here.chat.messages for block in m.message.blocks)
        assert "2 commits since v1.0.0-rc.1, which it follows there." in shown
        assert "Change 3 &lt;!channel&gt;" in shown
        assert "<!channel>" not in shown
        assert "<@U1>" not in shown
        page = report_page(_report(here, run), {})
        assert "2 commits since v1.0.0-rc.1" in page
        assert "Change 2 &lt;!channel&gt;" in page


async def test_a_run_is_opened_and_approved_where_github_is_away(tmp_path: Path) -> None:
    async with releasing(tmp_path) as (here, source):
        source.errors["changes"] = Temporary("github", "unreachable", "GitHub can't be reached")
        await _went_well(here, "v1.0.0-rc.1")
        run = await here.deploy("v1.0.0-rc.2")
        await here.until(run, "waiting")
        assert any("GitHub can't be reached" in str(m.message.blocks) for m in here.chat.messages)
        assert (await here.act("approve", SAM, run)).ok
        assert (await here.ended(run)).ending == "completed"


def test_the_first_answer_stays_with_the_run(known: Known) -> None:
    def twice(ledger: Any) -> list[RunChanges]:
        turn = Turn(ledger, NOON, known.setting)
        found: dict[str, Any] = {
            "relation": "first", "base_version": "", "total": 0, "url": "", "trouble": "", "commits": [],
            "pull_requests": [], "whole": True,
        }  # fmt: skip
        keep_changes(turn, "prod-1", found)
        keep_changes(turn, "prod-1", found | {"relation": "ahead"})
        keep_changes(turn, "prod-2", None)
        kept: list[RunChanges] = ledger.find(RunChanges)
        return kept

    [row] = known.store.write_now(twice)
    assert (row.run, row.found["relation"]) == ("prod-1", "first")


async def test_a_hundred_commits_are_kept_and_the_report_says_how_many_more_there_are(known: Known) -> None:
    commits = tuple(CommitInfo(sha(n), f"Change {n}", "Ada", NOON) for n in range(100))
    many = Changes(sha(1), sha(2), "ahead", commits, 1234, (), "https://github.example/compare")
    await known.told("go", release("v1", sha(1)))

    async def answer(repository: str, base: str, head: str) -> Changes | None:
        return many

    known.source.changes = answer  # type: ignore[method-assign]
    view = await looked(known, plan_of(release("v2", sha(2))))
    assert view is not None
    assert (len(view.commits), view.total) == (100, 1234)


async def _went_well(here: Bench, version: str) -> None:
    """The version got its go: it is what runs."""
    found = release(version, sha(int(version[-1])))
    row = Decision(
        run="staging-0", service="shop", environment="staging", version=version, result="go", release=to_json(found),
        approvers=[], at=here.clock.now(),
    )  # fmt: skip
    await here.store.write(lambda ledger: ledger.save(row))


def _report(here: Bench, run: str) -> ReportView:
    def look(ledger: Any) -> ReportView:
        turn = Turn(ledger, here.clock.now(), here.engine.desk._settings.current)
        found = turn.run(run)
        assert found is not None
        return gather(turn, found)

    return here.store.read_now(look)
