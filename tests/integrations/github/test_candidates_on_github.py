"""The next candidate, the list to choose from, the status and what a release brings, asked of a GitHub that speaks its real protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.answers import Answer
from engine.candidates import CandidatesView, ProposalView, look_up_candidates
from engine.changes import changes_view, look_up_changes
from engine.journal import Turn
from engine.status_lookup import look_up_status
from engine.views import StatusView
from integrations.github import GitHub
from runbook.plan import Plan, to_json
from runbook.values import Environment
from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from tests.engine.places_known import STAGING, Known, known_places, release
from tests.fakes.clock import NOON

REPO = "acme/shop"


@pytest.fixture
def known(tmp_path: Path, github: GitHub) -> Iterator[Known]:
    with known_places(tmp_path) as made:
        made.github = github
        yield made


async def answered(known: Known, name: str, look_up: Any, environment: Environment | None = None) -> Answer:
    finish = await look_up(known.asking(name, environment))
    found: Answer = await known.store.read(lambda ledger: finish(Turn(ledger, NOON, known.setting), None))
    return found


async def test_a_merged_and_validated_commit_becomes_the_next_candidate_with_what_it_brings(
    host: LocalGitHub, known: Known
) -> None:
    first = host.commit(REPO, "First", files={"a": "1"})
    host.tag(REPO, "v1.4.0-rc.1", first)
    topic = host.commit(REPO, "Currencies", parent=first, branch="topic", files={"b": "2"})
    pull = host.pull_request(REPO, "Currencies <!channel>", [topic], author="bob", merged=False, head="topic")
    merged = host.merge(REPO, pull.number)
    await known.told("validated", release(merged[:12], merged))
    view = (await answered(known, "plan", look_up_candidates, STAGING)).view
    assert isinstance(view, ProposalView)
    assert (view.version, view.commit) == ("v1.4.0-rc.2", merged)
    assert view.changes is not None
    assert [(each.number, each.title) for each in view.changes.pull_requests] == [
        (pull.number, "Currencies <!channel>")
    ]
    host.tag(REPO, view.version, merged)
    again = await answered(known, "plan", look_up_candidates, STAGING)
    assert (again.code, again.remedy) == ("candidate.exists", "`/forge deploy staging v1.4.0-rc.2`")
    offered = (await answered(known, "deploy", look_up_candidates, STAGING)).view
    assert isinstance(offered, CandidatesView)
    assert [(each.version, each.validated) for each in offered.lines] == [("v1.4.0-rc.2", True), ("v1.4.0-rc.1", False)]


async def test_what_a_release_brings_and_what_is_newer_are_github_s_answers(host: LocalGitHub, known: Known) -> None:
    shas = [host.commit(REPO, f"Change {number}") for number in range(4)]
    host.tag(REPO, "v1.4.0-rc.2", shas[3])
    await known.told("go", release("v1.4.0-rc.1", shas[0]))
    await known.told("validated", release(shas[2][:12], shas[2]))
    about = {"release": to_json(release("v1.4.0-rc.2", shas[3]))}
    plan = Plan(procedure="staging", service="shop", environment=STAGING, version="v1.4.0-rc.2", nodes=(), about=about)
    found = changes_view(await look_up_changes(known.ports, known.setting, plan))
    assert found is not None
    assert (found.relation, found.total) == ("ahead", 3)
    assert [each.title for each in found.commits] == ["Change 3", "Change 2", "Change 1"]
    view = (await answered(known, "status", look_up_status)).view
    assert isinstance(view, StatusView)
    dev, staging, _ = view.places
    assert dev.newer == (f"1 commit on main since; the newest is {shas[3][:12]}, Change 3",)
    assert staging.newer == ("v1.4.0-rc.2",)


async def test_a_github_that_fails_is_said_in_each_of_them_and_nothing_breaks(host: LocalGitHub, known: Known) -> None:
    sha = host.commit(REPO, "First")
    await known.told("go", release("v1.4.0-rc.1", "e" * 40))
    host.faults.add(Fault(status=503, times=-1))
    about = {"release": to_json(release("v1.4.0-rc.2", sha))}
    plan = Plan(procedure="staging", service="shop", environment=STAGING, version="v1.4.0-rc.2", nodes=(), about=about)
    found = changes_view(await look_up_changes(known.ports, known.setting, plan))
    assert found is not None
    assert found.trouble
    assert not (await answered(known, "plan", look_up_candidates, STAGING)).ok
    view = (await answered(known, "status", look_up_status)).view
    assert isinstance(view, StatusView)
    assert view.places[1].version == "v1.4.0-rc.1"
    assert view.places[1].unknown
