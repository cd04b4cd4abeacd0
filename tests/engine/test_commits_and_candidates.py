"""What is typed for dev and staging, through the whole desk: a commit becomes a run of twelve digits, a missing candidate becomes a question."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from engine.answers import AnswerKind
from engine.candidates import CandidatesView, ProposalView
from engine.intents import Intent
from engine.records import Run
from runbook.plan import Plan
from runbook.policy import Setting
from runbook.ports import Ports, Tag
from runbook.procedures.base import Prepared, Request
from runbook.verdicts import Verdict
from tests.engine.harness import ADA, GUEST, PIA, Bench, Look, bench, setting_for
from tests.engine.places_known import DEV, PROD, STAGING, sha
from tests.runbook.fake_source import FakeSource
from tests.runbook.fakes import FakeCodeHost

COMMIT = "abcdef0123456789" * 2 + "abcdef01"


@asynccontextmanager
async def desk(tmp_path: Path) -> AsyncIterator[tuple[Bench, FakeCodeHost]]:
    """A bench whose dev has one commit on its branch, and whose staging has tags."""

    async def dev(request: Request, setting: Setting, ports: Ports) -> Prepared:
        if request.version and not COMMIT.startswith(request.version):
            return Prepared(None, (Verdict.failed("commit", "commit.unknown", "there is no such commit"),))
        plan = Plan(
            procedure="dev", service=request.service, environment=request.environment, version=COMMIT[:12],
            nodes=(Look(title="look", world=str(tmp_path)),),
        )  # fmt: skip
        return Prepared(plan, ())

    known = setting_for()
    services = {n: replace(s, urls={DEV: "http://d", STAGING: "http://s"}) for n, s in known.services.items()}
    async with bench(tmp_path, setting=replace(known, services=services)) as here:
        here.engine.desk._procedures = {"dev": dev}.get
        here.engine.interpreter._procedures = {"dev": dev}.get
        code, source = FakeCodeHost(tags={}), FakeSource()
        source.push(COMMIT, repository="acme/shop")
        here.engine.desk._ports = replace(here.engine.desk._ports, code=code, source=source)
        yield here, code


async def test_the_run_of_a_shortened_commit_and_of_none_is_the_commit_that_was_found(tmp_path: Path) -> None:
    async with desk(tmp_path) as (here, _):
        for typed in ("abcdef0", "", COMMIT):
            answer = await here.act("deploy", ADA, environment=DEV, version=typed, service="shop")
            assert answer.kind is AnswerKind.DONE, answer
            run = await here.ended(answer.run)
            assert (run.version, run.procedure, run.ending) == (COMMIT[:12], "dev", "completed")
            assert COMMIT[:12] in answer.text


async def test_the_same_commit_typed_in_another_length_opens_no_second_run(tmp_path: Path) -> None:
    async with desk(tmp_path) as (here, _):
        here.outside.takes_s["look"] = 600.0
        first = await here.act("deploy", ADA, environment=DEV, version="abcdef0", service="shop")
        second = await here.act("deploy", ADA, environment=DEV, version=COMMIT, service="shop")
        assert (second.kind, second.code, second.run) == (AnswerKind.REFUSED, "deploy.already", first.run)


async def test_a_commit_that_can_not_be_deployed_is_refused_with_every_obstacle(tmp_path: Path) -> None:
    async with desk(tmp_path) as (here, _):
        answer = await here.act("deploy", ADA, environment=DEV, version="0000000", service="shop")
        assert (answer.kind, answer.code) == (AnswerKind.REFUSED, "commit.unknown")
        assert here.rows(Run) == []


async def test_staging_without_a_version_opens_no_run_and_says_what_to_type(tmp_path: Path) -> None:
    async with desk(tmp_path) as (here, code):
        code.tags["v1.4.0-rc.1"] = Tag("v1.4.0-rc.1", COMMIT, "f" * 40)
        answer = await here.act("deploy", ADA, environment=STAGING, service="shop")
        assert (answer.kind, answer.code) == (AnswerKind.REFUSED, "candidate.which")
        assert isinstance(answer.view, CandidatesView)
        assert answer.remedy == "`/forge deploy staging v1.4.0-rc.1 --service shop`"
        assert here.rows(Run) == []


async def test_the_next_candidate_is_anybody_s_to_ask_for(tmp_path: Path) -> None:
    async with desk(tmp_path) as (here, _):
        answer = await here.act("plan", PIA, environment=STAGING, service="shop")
        assert isinstance(answer.view, ProposalView), answer
        assert answer.view.commit == COMMIT
        assert here.rows(Run) == []


async def test_candidates_are_offered_to_those_alone_who_may_deploy(tmp_path: Path) -> None:
    async with desk(tmp_path) as (here, code):
        code.tags["v1.4.0-rc.1"] = Tag("v1.4.0-rc.1", sha(1), "f" * 40)
        intent = Intent(name="deploy", environment=STAGING, service="shop")
        assert isinstance((await here.engine.desk.choices(intent, ADA)).view, CandidatesView)
        for who in (PIA, GUEST):
            refused = await here.engine.desk.choices(intent, who)
            assert (refused.kind, refused.view) == (AnswerKind.REFUSED, None)
            typed = await here.act("deploy", who, environment=STAGING, service="shop")
            assert (typed.kind, typed.view) == (AnswerKind.REFUSED, None)


async def test_production_is_never_offered_candidates(tmp_path: Path) -> None:
    async with desk(tmp_path) as (here, _):
        answer = await here.act("deploy", ADA, environment=PROD, service="shop")
        assert (answer.kind, answer.view) == (AnswerKind.REFUSED, None)
        assert here.rows(Run) == []
