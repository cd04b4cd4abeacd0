"""Every view becomes a message that Slack takes, whatever the values are; and says what a release team wants to read."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.answers import Answer, AnswerKind, info, refused
from engine.notes import Note, Tone
from engine.ports import Message
from engine.records import Decision, Ending, Lock, RunState, Sealed, StepState
from engine.views import ApprovalView, AuditView, HelpView, PlanView, RunLine, RunView, SlotView, StatusView, StepView
from messages import plain
from messages.blocks import MAX_BLOCKS, MAX_CHARACTERS, size
from messages.dialogs import DialogMemory, closing_dialog, reason_dialog
from messages.render import Messages
from runbook.commands import COMMANDS
from runbook.values import FrozenImage, Role
from runbook.verdicts import Evidence, Outcome, Verdict
from sandbox.slack.blocks import check_message_blocks
from sandbox.slack.viewrules import check_view

NOW = datetime(2026, 3, 2, 14, 2, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
MENTION = re.compile(r"<[!@#](?!date)[^>]*>")
BAD_ERRORS = Verdict.failed(
    "error rate",
    "errors.high",
    "too many requests fail",
    Evidence(name="error rate", value=0.034, limit=0.01, unit="ratio", samples=1204, window_s=1800.0),
    remedy="Look at the logs of web.",
)


def shown(message: Message) -> str:
    """All of the message's text; refused where Slack would refuse it."""
    blocks = [dict(block) for block in message.blocks]
    if blocks:
        check_message_blocks(blocks)
    assert message.text
    assert len(blocks) <= MAX_BLOCKS
    assert size(blocks) <= MAX_CHARACTERS
    return message.text + "\n" + "\n".join(_texts(blocks))


def _texts(value: Any, kind: str = "") -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) and kind in ("", value["type"]) else []
        return own + [text for item in value.values() for text in _texts(item, kind)]
    return [text for item in value for text in _texts(item, kind)] if isinstance(value, list) else []


def markup(message: Message) -> str:
    """What Slack reads as mrkdwn: there alone can anything mention anybody."""
    return message.text + "\n" + "\n".join(_texts([dict(block) for block in message.blocks], "mrkdwn"))


def elements(message: Message) -> dict[str, dict[str, Any]]:
    return {
        element["action_id"]: element
        for block in message.blocks
        if block["type"] == "actions"
        for element in block["elements"]
    }


def step(index: int = 0, **changes: Any) -> StepView:
    given_ = {"index": index, "title": "CI is green", "sentence": "CI is green at the tag", "state": "pending"}
    return StepView(**(given_ | changes))


def run(**changes: Any) -> RunView:
    return dataclasses.replace(
        RunView(
            id="staging-12",
            service="web",
            environment="staging",
            version="v1.4.0-rc.2",
            requester="T1:U0ALICE",
            requester_name="alice",
            reason="fixes the basket",
            state=RunState.WAITING,
            why="Waiting for Service Owner: deploy to staging",
            steps=(
                step(0, state="done", outcome="pass", reason="12 checks passed"),
                step(1, title="approval", state="waiting", doing="service owner", deadline=NOW),
                step(2, title="deploy web", effect=True),
            ),
            buttons={"cancel": "b1", "pause": "b2"},
            guards=("error rate under 3 %",),
            created_at=NOW,
        ),
        **changes,
    )


def approval(**changes: Any) -> ApprovalView:
    return dataclasses.replace(
        ApprovalView(
            run="staging-12",
            index=1,
            title="deploy to staging",
            service="web",
            environment="staging",
            version="v1.4.0-rc.2",
            commit="c0ffee" * 6 + "abcd",
            images=(FrozenImage("web", "app", "registry.example/acme/web", "v1.4.0-rc.2", DIGEST),),
            changes_url="https://github.example/acme/web/compare/a...b",
            requester="T1:U0ALICE",
            requester_name="alice",
            reason="fixes the basket",
            steps=("deploy web by digest", "observe for 30 min"),
            slots=(SlotView(role="service_owner", who=("U0OLGA", "S0OWNERS")),),
            expires_at=NOW + timedelta(hours=24),
            plan_hash="f" * 64,
            state="open",
            buttons={"approve": "b1", "reject": "b2", "withdraw": "b3"},
        ),
        **changes,
    )


# --- the headline ---------------------------------------------------------------------------------------------------


def test_the_headline_shows_plan_progress_and_why_it_waits() -> None:
    message = Messages().headline(run())
    text = shown(message)
    assert "staging-12: web v1.4.0-rc.2 to staging – waiting for a decision" in message.text
    assert "Waiting for Service Owner" in message.text
    assert "(step 2 of 3)" in text
    assert "1. :white_check_mark: CI is green – _done_:  12 checks passed".replace(":  ", ": ") in " ".join(
        text.split()
    )
    assert "3. :white_circle: deploy web – _to do_" in text
    assert "Watched now: error rate under 3 %" in text
    assert not MENTION.search(text)


def test_buttons_that_end_something_ask_first_and_name_it() -> None:
    found = elements(Messages().headline(run(buttons={"cancel": "b1", "retry": "b2", "abort": "b3", "pause": "b4"})))
    assert found["cancel"]["confirm"]["title"]["text"] == "Cancel staging-12?"
    assert "v1.4.0-rc.2" in found["cancel"]["confirm"]["text"]["text"]
    assert found["abort"]["value"] == "b3"
    assert "confirm" not in found["pause"]
    assert found["pause"]["accessibility_label"] == "Pause staging-12"


def test_an_ended_run_says_how_and_why_and_has_no_buttons() -> None:
    ended = run(
        state=RunState.ENDED,
        ending=Ending.RETURNED,
        ending_reason="error rate 3.4 % (limit 1 %)",
        why="",
        buttons={},
        guards=(),
        ended_at=NOW + timedelta(minutes=31),
    )
    message = Messages().headline(ended)
    assert "returned to the previous state. error rate 3.4 %" in message.text
    assert "after 31 min" in shown(message)
    assert elements(message) == {}


def test_a_paused_run_says_so_and_the_way_back_is_told_apart() -> None:
    paused = run(paused_at=NOW, steps=(step(0), step(1, title="set images back", in_way_back=True, state="running")))
    text = shown(Messages().headline(paused))
    assert "*paused*" in text
    assert "*Way back to the previous state*" in text
    assert "way back, step 1 of 1" in text


def test_a_lock_s_remedy_in_a_sentence_of_the_engine_is_shown_as_a_command() -> None:
    text = shown(Messages().headline(run(why="ann locked staging. `/forge unlock staging` releases it.")))
    assert "`/forge unlock staging`" in text


@pytest.mark.parametrize("state", [*RunState, "unheard of"])
@pytest.mark.parametrize("ending", ["", *Ending])
def test_every_state_has_a_word_and_a_sign(state: str, ending: str) -> None:
    assert shown(Messages().headline(run(state=state, ending=ending)))


# --- the approval card ----------------------------------------------------------------------------------------------


def test_a_card_states_exactly_what_is_approved() -> None:
    message = Messages().approval_card(approval())
    text = shown(message)
    for fact in (
        "v1.4.0-rc.2",
        DIGEST,
        "registry.example/acme/web:v1.4.0-rc.2",
        "*staging*",
        "<https://github.example/acme/web/compare/a...b|changes since what runs now>",
        "1. deploy web by digest",
        "2. observe for 30 min",
        "alice",
        "fixes the basket",
        "service owner",
        "0 of 1",
        f"<!date^{int((NOW + timedelta(hours=24)).timestamp())}^",
        "ffffffffffff",
    ):
        assert fact in text, fact
    assert "Approval needed (0 of 1)" in message.text
    assert set(elements(message)) == {"approve", "reject", "withdraw"}


def test_only_those_who_must_act_are_mentioned() -> None:
    text = shown(Messages().approval_card(approval()))
    assert set(MENTION.findall(text)) == {"<@U0OLGA>", "<!subteam^S0OWNERS>"}
    filled = SlotView(role="service_owner", by="T1:U0OLGA", by_name="olga", at=NOW, who=("U0OLGA",))
    assert not MENTION.search(shown(Messages().approval_card(approval(slots=(filled,)))))


def test_after_the_decision_a_sentence_stands_where_the_buttons_were() -> None:
    filled = SlotView(role="service_owner", by="T1:U0OLGA", by_name="olga", at=NOW, who=("U0OLGA",))
    message = Messages().approval_card(
        approval(state="approved", slots=(filled,), closing="Approved by @olga 14:02", buttons={})
    )
    text = shown(message)
    assert elements(message) == {}
    assert "Approved by @olga 14:02" in text
    assert not MENTION.search(text)


def test_a_void_card_says_what_changed() -> None:
    card = approval(state="void", changed=("image of web: new digest",), closing="Void.", buttons={})
    text = shown(Messages().approval_card(card))
    assert "void: what was asked for has changed" in text
    assert "image of web: new digest" in text


def test_a_release_of_sixty_images_keeps_its_buttons() -> None:
    image = approval().images[0]
    images = tuple(dataclasses.replace(image, workload=f"worker-{n}", repository="r" * 200) for n in range(60))
    message = Messages().approval_card(approval(images=images, steps=("s" * 300,) * 60, evidence=(BAD_ERRORS,) * 60))
    shown(message)
    assert "approve" in elements(message)


def test_a_link_that_is_no_web_address_is_no_link() -> None:
    for url in ("javascript:alert(1)", "https://x|y> <!channel>", "ftp://x", "http://[", ""):
        text = shown(Messages().approval_card(approval(changes_url=url, slots=())))
        assert not MENTION.search(text)
        assert "javascript" not in text


# --- notes and answers ----------------------------------------------------------------------------------------------


def test_a_note_stands_alone_on_a_phone_and_mentions_whom_it_asks() -> None:
    note = Note(
        tone=Tone.ASK,
        title="Held at “observe”: no data",
        text="Prometheus is down.",
        mention=("U0OLGA", "bogus<!here>"),
    )
    message = Messages().note(note, "staging-12")
    text = shown(message)
    assert "<@U0OLGA>" in message.text
    assert "staging-12: Held at" in message.text
    assert set(MENTION.findall(text)) == {"<@U0OLGA>"}


def test_an_answer_gives_cause_remedy_and_every_obstacle_with_its_numbers() -> None:
    answer = refused(
        "gate.failed", "It can't be deployed.", "Fix it.", verdicts=(Verdict.passed("tag", "signed"), BAD_ERRORS)
    )
    text = shown(Messages().answer(answer))
    assert "It can't be deployed." in text
    assert ":bulb: Fix it." in text
    assert "error rate 3.4 % (limit 1 %, 1,204 samples, 30 min)" in text
    assert text.index(":x: *error rate*") < text.index(":white_check_mark: *tag*")
    assert "→ Look at the logs of web." in text


VIEWS: list[Any] = [
    run(),
    PlanView(
        service="web",
        environment="staging",
        version="v1.4.0-rc.2",
        steps=(step(0), step(1, effect=True)),
        verdicts=(BAD_ERRORS,),
        hash="a" * 64,
        approvers=("service_owner", "product"),
        waits=("observes for 30 min",),
    ),
    StatusView(
        active=(RunLine(id="staging-12", service="web", environment="staging", version="v1", state="running", ending="",
                        why="deploying", requester_name="alice", created_at=NOW, permalink="https://x.slack.com/p1"),),
        queued=(RunLine(id="staging-13", service="web", environment="staging", version="v2", state="queued", ending="",
                        why="Queued behind staging-12", requester_name="bob", created_at=NOW),),
        recent=(RunLine(id="staging-11", service="web", environment="staging", version="v0", state="ended",
                        ending="returned", why="", requester_name="bob", created_at=NOW),),
        locks=(Lock(environment="staging", service="*", owner="T1:U1", owner_name="ann", reason="load test", at=NOW),),
        decisions=(Decision(run="staging-11", service="web", environment="staging", version="v0", result="no_go",
                            release={}, approvers=[], at=NOW),),
        now=NOW + timedelta(minutes=5),
    ),
    AuditView(
        entries=(Sealed(seq=7, at=NOW, actor="T1:U0ALICE", role="release_engineer", action="run.created",
                        subject="staging-12", what="deploy", why="fix", evidence=None, previous="0", hash="1"),),
        total=90,
    ),
    HelpView(commands=COMMANDS, others=("deploy",)),
    HelpView(commands=(COMMANDS[0],)),
    StatusView(active=(), queued=(), recent=(), locks=(), decisions=(), now=NOW),
    AuditView(entries=(), total=0),
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_every_view_is_shown_in_slack_in_the_terminal_and_as_json(view: Any) -> None:
    answer = info("shown", "Here it is.", view=view)
    message = Messages().answer(answer)
    assert shown(message)
    assert elements(message) == {}
    as_json = plain.to_json(answer)
    assert json.loads(json.dumps(as_json)) == as_json
    assert as_json["view"]["type"] == type(view).__name__
    for width in (40, 100):
        text = plain.to_text(answer, width=width)
        assert "Here it is." in text
        assert "\x1b" not in text


def test_the_terminal_shows_the_queue_the_lock_and_how_to_undo_it() -> None:
    text = plain.to_text(info("status", "", view=VIEWS[2]), width=200)
    for fact in ("staging-13", "Queued behind staging-12", "load test", "forge unlock staging", "no go", "5 min"):
        assert fact in text


def test_text_from_outside_sends_no_control_sequences_to_the_terminal() -> None:
    evil = refused("x", "a\x1b[31mred\x07 \u202eback [bold]no markup[/bold]", "b\x9bc")
    text = plain.to_text(evil)
    assert not set(text) & {"\x1b", "\x07", "\u202e", "\x9b"}
    assert "[bold]" in text


def test_not_a_number_is_no_broken_json() -> None:
    odd = refused(
        "x", "t", verdicts=(Verdict.failed("g", "c", "r", Evidence(name="n", value=float("nan"), unit="ratio")),)
    )
    json.loads(json.dumps(plain.to_json(odd), allow_nan=False))
    assert "not a number" in shown(Messages().answer(odd))


# --- whatever the values are ----------------------------------------------------------------------------------------

_HOSTILE = st.one_of(
    st.sampled_from(
        ["<!channel>", "<@U1>", "&lt;!here&gt;", "```", "`x", "*b*", "_i_", "<https://evil.example|x>", "\x00\x1b", "\u202e",
         ":x:", "&" * 3000, "<" * 3000, "`" * 500, "\ud800", "", "🚀" * 900]
    ),
    st.text(max_size=80),
)  # fmt: skip
_COUNT = st.sampled_from([0, 1, 60])


def _hostile(view: Any, text: str, count: int) -> Any:
    """The same view with every text replaced, and every collection repeated."""
    if dataclasses.is_dataclass(view) and not isinstance(view, type):
        changes = {f.name: _hostile(getattr(view, f.name), text, count) for f in dataclasses.fields(view) if f.init}
        return dataclasses.replace(view, **changes)
    if type(view) is str:
        return text
    if isinstance(view, tuple):
        return tuple(_hostile(item, text, count) for item in view) * count
    return view


# Without shrinking: these values are large, and the failing one is named anyhow.
@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
)
@given(_HOSTILE, _COUNT)
def test_no_value_breaks_a_message_or_mentions_anybody(text: str, count: int) -> None:
    quiet = approval(slots=(SlotView(role="service_owner"),))
    made = [
        Messages().headline(_hostile(run(), text, count)),
        Messages().approval_card(_hostile(quiet, text, count)),
        Messages().note(Note(tone=Tone.BAD, title=text, text=text * 3, verdicts=(BAD_ERRORS,) * count), text),
    ]
    for view in VIEWS[:5]:
        verdicts = _hostile((BAD_ERRORS,), text, count)
        made.append(
            Messages().answer(Answer(AnswerKind.REFUSED, "c", text, text, verdicts, _hostile(view, text, count)))
        )
    for message in made:
        shown(message).encode()
        assert not MENTION.search(markup(message))
        assert "<https://evil" not in markup(message)


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate], deadline=None)
@given(_HOSTILE, _HOSTILE, st.sampled_from(["abort", "reject", "other"]))
def test_every_dialog_is_one_that_slack_takes(text: str, run_name: str, action: str) -> None:
    memory = DialogMemory(button=text[:300], channel=text, response_url="https://hooks.slack.com/actions/T/1/x")
    view = reason_dialog(action, run_name, memory)
    check_view(view, kind="modal")
    if text.isascii():
        assert DialogMemory.load(view["private_metadata"]).button[:255] == text[:255]
    check_view(closing_dialog(run_name, text, text), kind="modal")


def test_a_forged_memory_of_a_dialog_is_an_empty_one() -> None:
    for text in ("", "[]", "{", '{"button": null}', "1"):
        assert DialogMemory.load(text).button == ""


def test_step_states_and_outcomes_are_told_by_word_not_by_colour_alone() -> None:
    for state in StepState:
        for outcome in ("", *Outcome):
            text = shown(Messages().headline(run(steps=(step(0, state=state, outcome=outcome),))))
            assert re.search(r"1\. :[a-z_]+: CI is green – _[a-z ,]+", text)


def test_roles_are_shown_in_words() -> None:
    slots = tuple(SlotView(role=role) for role in Role)
    text = shown(Messages().approval_card(approval(slots=slots)))
    assert "database owner" in text
    assert "nobody holds this role" in text


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("go", ":white_check_mark: staging, web: `v1` – go"),
        ("no_go", ":x: staging, web: `v1` – no go"),
        ("released", ":white_check_mark: staging, web: `v1` – released"),
        ("rolled_back", ":leftwards_arrow_with_hook: staging, web: `v1` – rolled back"),
        ("contracted", ":white_check_mark: staging, web: `v1` – contracted"),
    ],
)
def test_each_recorded_result_has_its_own_words(result: str, said: str) -> None:
    decision = Decision(
        run="staging-1", service="web", environment="staging", version="v1", result=result, release={}, approvers=[], at=NOW
    )  # fmt: skip
    view = StatusView(active=(), queued=(), recent=(), locks=(), decisions=(decision,), now=NOW)
    assert said in shown(Messages().answer(info("status", "", view=view)))
