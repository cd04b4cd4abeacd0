"""`/forge oncall` in Slack, in the terminal and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from engine.answers import info
from engine.oncall_lookup import DecisionView, HoldersView, PeopleView
from messages import plain
from messages.blocks import MAX_BLOCKS, MAX_CHARACTERS, size
from messages.render import Messages
from runbook.ports import Person
from runbook.values import Role
from runbook.verdicts import Verdict
from sandbox.slack.blocks import check_message_blocks

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
OLGA = Person("UOLGA", "Olga", source="schedule Primary", until=NOON + timedelta(hours=2))
GONE = Person("UGONE", "Gus", False, "the account is deactivated", "S0OWNERS")
HOSTILE = Person("", "<!channel> *Eve* _x_ `y` <@UADA>\n\x1b[2J" + "z" * 5_000, False, "<http://evil|click>" * 200)


def view_of(*roles: HoldersView, decisions: tuple[DecisionView, ...] = ()) -> PeopleView:
    return PeopleView(at=NOON, roles=roles, decisions=decisions)


SHIP = ((Role.SERVICE_OWNER,), (Role.PRODUCT, Role.OPERATIONS))
FULL = view_of(
    HoldersView(role=Role.ON_CALL, people=(OLGA, GONE)),
    HoldersView(role=Role.SERVICE_OWNER),
    HoldersView(role=Role.PRODUCT, trouble="Slack gave no answer", remedy="Try again"),
    decisions=(
        DecisionView(title="Ship to production", slots=SHIP, verdict=None),
        DecisionView(title="Deploy to staging", slots=SHIP[:1], verdict=Verdict.failed("approvers", "x", "nobody holds it")),
        DecisionView(title="Go in staging", slots=SHIP[1:], verdict=Verdict.passed("approvers", "fine")),
    ),
)  # fmt: skip


def texts(view: PeopleView) -> str:
    message = Messages().answer(info("oncall", "On call: Olga.", view=view))
    blocks = [dict(block) for block in message.blocks]
    check_message_blocks(blocks)
    assert len(blocks) <= MAX_BLOCKS
    assert size(blocks) <= MAX_CHARACTERS
    return "\n".join(str(block) for block in blocks)


def test_the_card_says_who_until_when_who_not_and_what_is_unknown() -> None:
    shown = texts(FULL)
    for words in (
        f":white_check_mark: *on call* – Olga until <!date^{int((NOON + timedelta(hours=2)).timestamp())}^",
        ":warning: Gus: the account is deactivated",
        ":x: *service owner* – nobody",
        ":grey_question: *product* – nobody can say: Slack gave no answer",
        ":grey_question: *Ship to production* – service owner and product or operations",
        ":x: *Deploy to staging* – service owner (nobody holds it)",
        ":white_check_mark: *Go in staging* – product or operations",
    ):
        assert words in shown, words


def test_a_hostile_name_mentions_nobody_formats_nothing_and_is_cut() -> None:
    shown = texts(view_of(HoldersView(role=Role.ON_CALL, people=(HOSTILE,) * 40)))
    assert "<!channel>" not in shown
    assert "<@U" not in shown
    assert "<http" not in shown
    assert "28 more" in shown
    text = plain.to_text(info("oncall", "x", view=view_of(HoldersView(role=Role.ON_CALL, people=(HOSTILE,)))))
    assert "\x1b" not in text


def test_a_crowd_fits_into_a_message() -> None:
    crowd = tuple(Person(f"U{n}", f"Person {n}") for n in range(40))
    shown = texts(view_of(*(HoldersView(role=role, people=crowd) for role in Role)))
    assert "and 28 more" in shown


def test_the_terminal_shows_the_same() -> None:
    text = plain.to_text(info("oncall", "On call: Olga.", view=FULL), width=160)
    for words in (
        "Olga",
        "2026-05-04 14:00 UTC",
        "schedule Primary",
        "Gus: the account is deactivated",
        "nobody can say",
    ):
        assert words in text


def test_the_json_has_every_person_with_the_end_of_the_shift() -> None:
    data = json.loads(json.dumps(plain.to_json(info("oncall", "x", view=FULL))))
    assert data["view"]["type"] == "PeopleView"
    (olga, gone) = data["view"]["roles"][0]["people"]
    assert (olga["until"], gone["reachable"]) == ("2026-05-04T14:00:00+00:00", False)
