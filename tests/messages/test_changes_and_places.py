"""What a release brings, the status with many services, candidates and the proposal: within Slack's limits, and nobody is mentioned."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.answers import info
from engine.candidates import CandidateLine, CandidatesView, ProposalView
from engine.records import Decision
from engine.views import ChangesView, CommitLine, PlaceView, PlanView, PullLine, StatusView, WaitView
from messages import plain
from messages.candidates import candidates_dialog, loading_dialog
from messages.changes import change_lines, change_texts, summary
from messages.dialogs import DialogMemory
from messages.render import Messages
from messages.status import BRIEF_FROM
from sandbox.slack.viewrules import check_view
from tests.messages.test_rendering import MENTION, NOW, approval, markup, shown

NASTY = "@channel <!here> <!channel> <@U0OLGA> <!subteam^S0OWNERS> *bold* `code` :tada: <https://evil.example|click>"


def commits(number: int, title: str = "Fix the basket", author: str = "Ada Lovelace") -> tuple[CommitLine, ...]:
    return tuple(CommitLine(sha=f"{n:040x}", title=f"{title} {n}", author=author) for n in range(1, number + 1))


def changes(**more: Any) -> ChangesView:
    given_: dict[str, Any] = {
        "base_version": "v1.4.0-rc.1", "relation": "ahead", "total": 33, "url": "https://github.example/acme/web/compare/a...b",
        "commits": commits(33),
        "pull_requests": (PullLine(number=7, title="Currencies", author="Grace", url="https://github.example/acme/web/pull/7"),),
    }  # fmt: skip
    return ChangesView(**given_ | more)


# --- changes ------------------------------------------------------------------------------------------------------------


def test_a_card_tells_how_many_commits_the_newest_ten_their_pull_requests_and_a_link() -> None:
    text = shown(Messages().approval_card(approval(changes=changes())))
    assert "33 commits since v1.4.0-rc.1, which it follows there." in text
    assert "<https://github.example/acme/web/compare/a...b|compare>" in text
    assert "<https://github.example/acme/web/pull/7|#7> Currencies – Grace" in text
    assert "`0000000` Fix the basket 10 – Ada Lovelace" in text
    assert "Fix the basket 11" not in text
    assert "… and 23 more commits" in text


def test_after_the_decision_one_sentence_of_the_changes_is_left() -> None:
    closed = approval(changes=changes(), state="approved", buttons={}, closing="Approved by @olga 14:02")
    text = shown(Messages().approval_card(closed))
    assert "33 commits since" in text
    assert "Fix the basket" not in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"relation": "first", "total": 0}, "Nothing is on record as released there before"),
        (
            {"relation": "identical", "total": 0},
            "Nothing new: v1.4.0-rc.1, which it follows there, is the same commit.",
        ),
        ({"relation": "behind", "total": 0}, "An OLDER version than v1.4.0-rc.1, which it follows there"),
        ({"relation": "diverged", "total": 2}, "NOT a successor of v1.4.0-rc.1"),
        ({"relation": "ahead", "total": 1}, "1 commit since v1.4.0-rc.1"),
        ({"relation": "", "trouble": "GitHub is away"}, "could not be asked: GitHub is away"),
        ({"is_whole": False}, "Not every pull request could be asked for"),
        ({"runs_there": False}, "33 commits since v1.4.0-rc.1."),
    ],
)
def test_every_relation_is_told_plainly(more: dict[str, Any], words: str) -> None:
    view = changes(**more)
    assert words in summary(view)
    assert words in change_texts(view)[0]


def test_titles_and_names_of_authors_notify_nobody() -> None:
    nasty = changes(
        base_version=NASTY, commits=commits(3, NASTY, NASTY), trouble="",
        pull_requests=(PullLine(number=1, title=NASTY, author=NASTY, url="https://x|y> <!channel>"),),
    )  # fmt: skip
    plan = PlanView(service="web", environment="staging", version="v1", steps=(), verdicts=(), hash="a", approvers=(),
                    waits=(), changes=nasty)  # fmt: skip
    for message in (
        Messages().approval_card(approval(changes=nasty, slots=())),
        Messages().answer(info("plan", "", view=plan)),
    ):
        shown(message)
        assert not MENTION.search(markup(message))
        assert "<https://evil" not in markup(message)
        for block in message.blocks:
            text = block.get("text")
            if isinstance(text, dict) and text["type"] == "mrkdwn":
                assert text["verbatim"] is True


@given(st.text(max_size=400), st.text(max_size=400), st.integers(0, 5000))
@settings(max_examples=40)
def test_whatever_people_write_in_commits_is_within_slack_s_limits(title: str, author: str, total: int) -> None:
    view = changes(commits=commits(100, title, author), total=total, pull_requests=tuple(
        PullLine(number=n, title=title, author=author, url=f"https://github.example/{n}") for n in range(100)
    ))  # fmt: skip
    message = Messages().approval_card(approval(changes=view))
    assert {"approve", "reject"} <= {
        e["action_id"] for b in message.blocks if b["type"] == "actions" for e in b["elements"]
    }
    assert not MENTION.search("\n".join(change_lines(view)))
    shown(message)


# --- the status ---------------------------------------------------------------------------------------------------------


def place(service: str = "web", environment: str = "prod", **more: Any) -> PlaceView:
    given_: dict[str, Any] = {
        "service": service, "environment": environment, "version": "v1.3.0", "digest": "sha256:abcdefabcdef…",
        "since": NOW - timedelta(days=2), "by_name": "Olga", "run": "prod-7", "is_asked": True,
    }  # fmt: skip
    return PlaceView(**given_ | more)


def status(**more: Any) -> StatusView:
    given_: dict[str, Any] = {"active": (), "queued": (), "recent": (), "locks": (), "decisions": (), "now": NOW}
    return StatusView(**given_ | more)


def told(view: StatusView) -> tuple[str, str]:
    answer = info("status", "Nothing is under way.", view=view)
    message = Messages().answer(answer)
    assert not MENTION.search(markup(message))
    return shown(message), plain.to_text(answer, width=300)


def test_what_runs_is_told_with_version_digest_since_when_by_whom_and_what_is_newer() -> None:
    for text in told(
        status(places=(place(newer=("v1.4.0 has its go (v1.4.0-rc.2)",)), place(environment="dev", version="")))
    ):
        for words in ("v1.3.0", "sha256:abcdefabcdef…", "Olga", "prod-7", "v1.4.0 has its go", "nothing on record"):
            assert words in text


def test_drift_and_what_could_not_be_asked_are_told() -> None:
    odd = place(drift="something else than forge deployed: web runs web:latest")
    blind = place(environment="staging", unknown=("the cluster: no answer within 5 s",))
    for text in told(status(places=(odd, blind))):
        assert "runs something else than forge deployed: web runs web:latest" in text
        assert "no answer within 5 s" in text


def test_what_waits_comes_first_with_its_link_and_deadline() -> None:
    wait = WaitView(
        run="prod-9", service="web", environment="prod", text="Waiting for Product: ship to production",
        since=NOW - timedelta(minutes=12), until=NOW + timedelta(hours=1), permalink="https://x.slack.com/p9",
    )  # fmt: skip
    slack, terminal = told(status(waiting=(wait,), places=(place(),)))
    assert "<https://x.slack.com/p9|prod-9>" in slack
    assert "for 12 min" in slack
    assert slack.index("Waits for somebody") < slack.index("What runs where")
    assert "Waiting for Product" in terminal


def test_a_result_that_is_told_by_its_place_is_not_told_twice() -> None:
    results = tuple(
        Decision(
            run=run,
            service="web",
            environment="prod",
            version="v1.3.0",
            result=result,
            release={},
            approvers=[],
            at=NOW,
        )
        for run, result in (("prod-7", "released"), ("prod-8", "rolled_back"))
    )
    slack, _ = told(status(places=(place(),), decisions=results))
    assert "rolled back" in slack
    assert "– released" not in slack


@pytest.mark.parametrize("count", [1, 5, 20, 45, 200])
def test_the_status_of_many_services_fits_into_one_message(count: int) -> None:
    long = ("x" * 300, "y" * 300)
    places = tuple(
        place(f"service-{n:03}", environment, drift="z" * 300, newer=long, unknown=long)
        for n in range(count)
        for environment in ("dev", "staging", "prod")
    )
    waits = tuple(WaitView(run=f"prod-{n}", service="web", environment="prod", text="w" * 900) for n in range(count))
    view = status(places=places, waiting=waits)
    answer = info("status", "", view=view)
    shown(Messages().answer(answer))
    assert json.loads(json.dumps(plain.to_json(answer)))["view"]["places"][0]["service"] == "service-000"


def test_twenty_services_are_all_in_the_message_in_few_words() -> None:
    places = tuple(place(f"service-{n:02}", env) for n in range(20) for env in ("dev", "staging", "prod"))
    assert len(places) > BRIEF_FROM
    slack, terminal = told(status(places=places))
    for text in (slack, terminal):
        assert all(f"service-{n:02}" in text for n in range(20))
    assert "/forge status --service" in slack


# --- candidates ---------------------------------------------------------------------------------------------------------


def line(number: int, **more: Any) -> CandidateLine:
    return CandidateLine(version=f"v1.4.0-rc.{number}", commit=f"{number:040x}", **more)


def test_the_modals_are_what_slack_takes() -> None:
    lines = tuple(
        line(n, validated=n % 2 == 0, validated_at=NOW, decided="no_go", runs_now=True) for n in range(999_975, 999_999)
    )
    view = CandidatesView(service="s" * 63, lines=lines, total=300, has_dev=True, now=NOW)
    memory = DialogMemory(service="s" * 63, channel="C1", response_url="https://hooks.slack.com/" + "x" * 400)
    check_view(candidates_dialog(view, memory), kind="modal")
    check_view(loading_dialog(), kind="modal")
    assert DialogMemory.load(memory.dump()) == memory


def test_the_list_of_candidates_says_how_many_more_there_are() -> None:
    view = CandidatesView(service="web", lines=(line(2), line(1)), total=40, has_dev=True, now=NOW)
    answer = info("x", "", view=view)
    for text in (shown(Messages().answer(answer)), plain.to_text(answer, width=120)):
        assert "The newest 2 of 40 candidates." in text
        assert "dev: not known" in text


def test_a_proposal_s_commands_stand_as_they_must_be_typed() -> None:
    command = f'git fetch origin && git tag -s v1.4.0-rc.3 {"a" * 40} -m "web v1.4.0-rc.3"'
    view = ProposalView(
        service="web", version="v1.4.0-rc.3", commit="a" * 40, title=NASTY, basis="it was validated", why="because", note=NASTY,
        commands=(command, "git push origin v1.4.0-rc.3"), deploy="/forge deploy staging v1.4.0-rc.3", candidates=(line(2),),
        changes=replace(changes(), runs_there=False),
    )  # fmt: skip
    answer = info("plan.candidate", "", view=view)
    message = Messages().answer(answer)
    assert command in shown(message)
    assert not MENTION.search(markup(message))
    assert command in plain.to_text(answer, width=60)
