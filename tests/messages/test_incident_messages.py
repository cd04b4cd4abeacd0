"""Incidents and freezes as Slack and the terminal show them: within the limits, harmless whatever the words are, and saying what to do."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.answers import info
from engine.notes import Note, Tone
from engine.views import FreezeView, IncidentsView, IncidentUpdate, IncidentView, StatusView
from messages import plain
from messages.incidents import incident_card
from messages.render import Messages
from tests.messages.test_rendering import markup, shown

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOSTILE = "<!channel> <@U1> `x` *b* &lt;!here&gt; \u202e" + "x" * 10_000


def incident(**changes: Any) -> IncidentView:
    known = IncidentView(
        id="incident-7", service="shop", environment="prod", severity=2, title="checkout is slow", opened_by_name="Olga",
        opened_at=NOW, holds_releases=True, who=("SONCALL",),
    )  # fmt: skip
    return dataclasses.replace(known, **changes)


def update(text: str, by: str = "Olga") -> IncidentUpdate:
    return IncidentUpdate(at=NOW.isoformat(), by_name=by, text=text)


def freeze(**changes: Any) -> FreezeView:
    known = FreezeView(
        environment="prod", service="", owner_name="Ada", reason="end of year", at=NOW, until=NOW + timedelta(days=2),
        undo="/forge unfreeze prod",
    )  # fmt: skip
    return dataclasses.replace(known, **changes)


def status(*incidents: IncidentView, freezes: tuple[FreezeView, ...] = ()) -> StatusView:
    return StatusView(
        active=(), queued=(), recent=(), locks=(), decisions=(), now=NOW, incidents=incidents, freezes=freezes
    )


def test_a_card_says_what_how_grave_whom_it_concerns_and_how_it_ends() -> None:
    message = incident_card(incident(updates=(update("the database is the cause\nmore"),), run="prod-12"))
    text = shown(message)
    assert message.text.startswith("<!subteam^SONCALL> incident-7, severity 2, shop on prod: checkout is slow")
    for words in (
        "No release passes its gate",
        "/forge incident resolve incident-7",
        "the database is the cause …",
        "prod-12",
    ):
        assert words in text


def test_a_resolved_card_mentions_nobody_and_asks_for_nothing() -> None:
    view = incident(resolved_at=NOW + timedelta(hours=1), resolved_by_name="Sam", who=(), holds_releases=False)
    text = shown(incident_card(view))
    assert "resolved, severity 2" in text
    assert "Resolved by Sam" in text
    assert "after 1 h" in text
    assert "<!subteam" not in text
    assert "/forge incident resolve" not in text


def test_many_updates_show_the_newest_and_say_where_the_others_are() -> None:
    text = shown(incident_card(incident(updates=tuple(update(f"word {n}") for n in range(60)))))
    assert "55 earlier updates are in the thread" in text
    assert "word 59" in text
    assert "word 3" not in text


def test_a_minor_incident_says_that_it_holds_nothing_up_by_saying_nothing_of_it() -> None:
    assert "No release passes" not in shown(incident_card(incident(severity=4, holds_releases=False, who=())))


@pytest.mark.parametrize(
    "message",
    [
        incident_card(incident(title=HOSTILE, service=HOSTILE, opened_by_name=HOSTILE, who=())),
        incident_card(incident(updates=tuple(update(HOSTILE, HOSTILE) for _ in range(9)), who=())),
        Messages().answer(info("x", "", view=IncidentsView(incidents=(incident(title=HOSTILE, who=()),) * 20, total=99, now=NOW))),
        Messages().answer(info("x", "", view=freeze(reason=HOSTILE, owner_name=HOSTILE, service=HOSTILE, undo=HOSTILE))),
        Messages().answer(info("x", "", view=status(incident(title=HOSTILE, who=()), freezes=(freeze(reason=HOSTILE),)))),
        Messages().note(Note(tone=Tone.BAD, title=HOSTILE, text="\n".join([HOSTILE] * 30))),
    ],
)  # fmt: skip
def test_hostile_words_mention_nobody_and_stay_within_the_limits(message: Any) -> None:
    shown(message)
    for token in ("<!channel>", "<@U1>", "<!here>"):
        assert token not in markup(message)


def test_the_status_shows_incidents_and_freezes_with_what_lifts_them() -> None:
    text = shown(Messages().answer(info("status", "", view=status(incident(), freezes=(freeze(), freeze(until=None))))))
    for words in (
        "Open incidents",
        "incident-7",
        "checkout is slow",
        "Freezes",
        "/forge unfreeze prod",
        "until it is lifted",
    ):
        assert words in text
    assert f"<!date^{int((NOW + timedelta(days=2)).timestamp())}" in text


def test_the_terminal_shows_them_too() -> None:
    text = plain.to_text(info("status", "", view=status(incident(), freezes=(freeze(),))), width=200)
    for words in ("Open incidents", "incident-7", "Freezes", "2026-11-25 12:00 UTC", "forge unfreeze prod"):
        assert words in text
    assert "Nothing runs" not in text
    listed = plain.to_text(
        info("x", "1 open", view=IncidentsView(incidents=(incident(),), total=1, now=NOW)), width=200
    )
    assert "checkout is slow" in listed
    assert "end of year" in plain.to_text(info("x", "", view=freeze()), width=200)


def test_as_json_a_freeze_and_an_incident_have_their_fields() -> None:
    found = plain.to_json(info("x", "", view=freeze()))["view"]
    assert (found["type"], found["until"]) == ("FreezeView", "2026-11-25T12:00:00+00:00")
    listed = plain.to_json(info("x", "", view=IncidentsView(incidents=(incident(),), total=1, now=NOW)))["view"]
    assert listed["incidents"][0]["severity"] == 2


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=400), st.text(max_size=200), st.integers(-3, 9), st.lists(st.text(max_size=300), max_size=8))
def test_any_incident_is_a_message_that_slack_takes(title: str, name: str, severity: int, texts: list[str]) -> None:
    view = incident(
        title=title,
        service=name,
        severity=severity,
        opened_by_name=name,
        updates=tuple(update(text, name) for text in texts),
    )
    shown(incident_card(view))
    plain.to_text(info("x", "", view=IncidentsView(incidents=(view,), total=1, now=NOW)))
