"""Which candidates are offered for staging, and which one is proposed next, from a ledger and a GitHub in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.answers import Answer, AnswerKind
from engine.candidates import CandidatesView, ProposalView, candidate_choices, look_up_candidates, wants_candidate
from engine.intents import Intent
from engine.journal import Turn
from messages.plain import to_text
from messages.render import Messages
from runbook.errors import Temporary
from runbook.policy import Setting
from tests.engine.places_known import DEV, SHOP, STAGING, Known, known_places, release, sha
from tests.fakes.clock import NOON
from tests.handlers.slack_world import shown_text


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    with known_places(tmp_path) as made:
        yield made


async def choices(known: Known) -> Answer:
    intent = Intent(name="deploy", environment=STAGING)
    return await candidate_choices(intent, known.setting, known.ports, known.store)


async def typed(known: Known, name: str, **more: str) -> Answer:
    finish = await look_up_candidates(known.asking(name, STAGING, **more))
    return await known.store.read(lambda ledger: finish(Turn(ledger, NOON, known.setting), None))


def proposal(answer: Answer) -> ProposalView:
    assert answer.kind is AnswerKind.INFO, answer
    assert isinstance(answer.view, ProposalView)
    return answer.view


@pytest.mark.parametrize(
    ("intent", "wanted"),
    [
        (Intent(name="deploy", environment=STAGING), True),
        (Intent(name="plan", environment=STAGING), True),
        (Intent(name="deploy", environment=STAGING, version="v1.0.0-rc.1"), False),
        (Intent(name="deploy", environment=DEV), False),
        (Intent(name="migrate", environment=STAGING), False),
        (Intent(name="deploy", environment=STAGING, button="b1"), False),
    ],
)
def test_only_staging_without_a_version_asks_for_a_candidate(intent: Intent, wanted: bool) -> None:
    assert wants_candidate(intent) is wanted


# --- what is offered ----------------------------------------------------------------------------------------------------


async def test_candidates_are_offered_newest_first_with_what_dev_and_staging_said_of_them(known: Known) -> None:
    for number in (1, 2, 10):
        known.tag(f"v1.4.0-rc.{number}", sha(number))
    known.tag("v1.3.0", sha(99))
    await known.told("validated", release("000000000001", sha(1)))
    await known.told("go", release("v1.4.0-rc.1", sha(1)))
    await known.told("validated", release("000000000002", sha(2)))
    await known.told("no_go", release("v1.4.0-rc.2", sha(2)))
    view = (await choices(known)).view
    assert isinstance(view, CandidatesView)
    assert [(c.version, c.validated, c.decided, c.runs_now) for c in view.lines] == [
        ("v1.4.0-rc.10", False, "", False),
        ("v1.4.0-rc.2", True, "no_go", False),
        ("v1.4.0-rc.1", True, "go", True),
    ]


async def test_a_commit_that_dev_did_not_validate_in_the_end_is_not_called_validated(known: Known) -> None:
    known.tag("v1.4.0-rc.1", sha(1))
    await known.told("validated", release("000000000001", sha(1)))
    await known.told("not_validated", release("000000000001", sha(1)))
    view = (await choices(known)).view
    assert isinstance(view, CandidatesView)
    assert view.lines[0].validated is False


async def test_hundreds_of_candidates_are_offered_by_their_newest_and_few_questions(known: Known) -> None:
    for number in range(1, 301):
        known.tag(f"v1.4.0-rc.{number}", sha(number))
    view = (await choices(known)).view
    assert isinstance(view, CandidatesView)
    assert (len(view.lines), view.total, view.lines[0].version) == (25, 300, "v1.4.0-rc.300")
    assert [line.validated for line in view.lines] == [False] * 10 + [None] * 15


async def test_without_dev_nothing_is_said_of_dev(known: Known) -> None:
    known.tag("v1.4.0-rc.1", sha(1))
    without = replace(SHOP, urls={STAGING: "http://x"})
    known.setting = Setting(known.setting.policy, {"shop": without}, "s2")
    view = (await choices(known)).view
    assert isinstance(view, CandidatesView)
    assert not view.has_dev
    assert view.lines[0].validated is None


async def test_where_there_is_no_candidate_the_next_is_proposed_elsewhere(known: Known) -> None:
    known.tag("v1.3.0", sha(1))
    answer = await choices(known)
    assert (answer.kind, answer.code) == (AnswerKind.REFUSED, "candidate.none")
    assert "/forge plan staging" in answer.remedy


@pytest.mark.parametrize("name", ["deploy", "plan"])
async def test_a_github_that_is_away_is_said_and_nothing_is_offered(known: Known, name: str) -> None:
    known.world.code.error = Temporary("github", "unreachable", "GitHub can't be reached")
    answer = await typed(known, name)
    assert (answer.kind, answer.code, answer.view) == (AnswerKind.REFUSED, "github.unreachable", None)
    assert "GitHub can't be reached" in answer.text


async def test_the_command_line_lists_the_candidates_and_says_what_to_type(known: Known) -> None:
    known.tag("v1.4.0-rc.1", sha(1))
    known.tag("v1.4.0-rc.2", sha(2))
    answer = await typed(known, "deploy")
    assert (answer.kind, answer.code) == (AnswerKind.REFUSED, "candidate.which")
    assert answer.remedy == "`/forge deploy staging v1.4.0-rc.2`"
    text = to_text(answer, width=160)
    assert "v1.4.0-rc.1" in text
    assert "NOT validated in dev" in text


# --- what is proposed ---------------------------------------------------------------------------------------------------


async def test_the_newest_validated_commit_becomes_the_next_candidate(known: Known) -> None:
    known.pushed(5)
    known.tag("v1.3.0", sha(1))
    known.tag("v1.4.0-rc.1", sha(2))
    await known.told("validated", release("000000000004", sha(4)))
    await known.told("validated", release("000000000003", sha(3)))
    answer = await typed(known, "plan")
    view = proposal(answer)
    assert (view.version, view.commit) == ("v1.4.0-rc.2", sha(4))
    assert view.commands == (
        f'git fetch origin && git tag -s v1.4.0-rc.2 {sha(4)} -m "shop v1.4.0-rc.2"',
        "git push origin v1.4.0-rc.2",
    )
    assert view.deploy == "/forge deploy staging v1.4.0-rc.2"
    assert view.changes is not None
    assert [c.sha for c in view.changes.commits] == [sha(4), sha(3)]
    for text in (to_text(answer, width=60), shown_text(list(Messages().answer(answer).blocks))):
        assert view.commands[0] in text
        assert view.commands[1] in text
        assert view.deploy in text


async def test_a_validated_commit_that_is_a_candidate_already_is_deployed_and_not_tagged_again(known: Known) -> None:
    known.pushed(2)
    known.tag("v1.4.0-rc.1", sha(2))
    await known.told("validated", release("000000000002", sha(2)))
    answer = await typed(known, "plan")
    assert (answer.kind, answer.code) == (AnswerKind.REFUSED, "candidate.exists")
    assert answer.remedy == "`/forge deploy staging v1.4.0-rc.1`"


async def test_a_candidate_newer_than_what_was_validated_leaves_nothing_to_propose(known: Known) -> None:
    known.pushed(3)
    known.tag("v1.4.0-rc.1", sha(3))
    await known.told("validated", release("000000000002", sha(2)))
    assert (await typed(known, "plan")).code == "candidate.newer"


async def test_nothing_validated_means_nothing_to_propose(known: Known) -> None:
    known.pushed(3)
    answer = await typed(known, "plan")
    assert (answer.code, "/forge deploy dev" in answer.remedy) == ("candidate.nothing_validated", True)


async def test_without_dev_the_newest_commit_of_the_branch_is_proposed_and_that_is_said(known: Known) -> None:
    known.pushed(2)
    del known.clusters[DEV]
    view = proposal(await typed(known, "plan"))
    assert (view.version, view.commit) == ("v0.1.0-rc.1", sha(2))
    assert "nothing is validated in dev" in view.basis


async def test_a_comparison_that_github_refuses_is_said_beside_the_proposal(known: Known) -> None:
    known.pushed(3)
    known.tag("v1.4.0-rc.1", sha(1))
    await known.told("validated", release("000000000003", sha(3)))
    known.source.errors["changes"] = Temporary("github", "limited", "GitHub limits the rate")
    view = proposal(await typed(known, "plan"))
    assert "Whether it is newer than v1.4.0-rc.1 is not known" in view.note
