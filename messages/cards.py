"""The two messages that stay: a run's headline and an approval's card, as blocks. Pure; rendered again in place from stored state."""

from __future__ import annotations

from collections.abc import Mapping

from engine.lanes import is_of_database, lane_of, place_word
from engine.ports import Message
from engine.records import RunState
from engine.views import ApprovalView, RunView, SlotView, StepView
from messages import words
from messages.blocks import (
    Block,
    Markup,
    actions,
    bold,
    button,
    clock_time,
    code,
    confirm,
    context,
    divider,
    esc,
    fit,
    italic,
    join,
    link,
    mention,
    moment,
    paragraphs,
    section,
    top_text,
)
from messages.changes import change_lines
from messages.details import verdict_lines
from runbook.steps.restores import SIGN_OFF
from runbook.values import FrozenImage
from runbook.verdicts import Outcome

_ORDER = ("approve", "signoff", "reject", "withdraw", "retry", "resume", "pause", "override", "cancel", "abort")
_LABELS = {
    "approve": "Approve",
    "signoff": "Sign off",
    "reject": "Reject …",
    "withdraw": "Withdraw",
    "abort": "Abort …",
    "override": "Override …",
}
_STYLES = {"approve": "primary", "signoff": "primary", "reject": "danger", "abort": "danger", "cancel": "danger"}


# --- the headline ---------------------------------------------------------------------------------------------------


def headline(view: RunView) -> Message:
    """The one message of a run: what, how far, why it waits, the checklist, and what can be done now."""
    head = [section(_first_line(view)), context(*_origin(view))]
    why = _why(view)
    if why:
        head.append(section(why))
    tail = [context(esc("Watched now: " + words.listed(view.guards), 1_500))] if view.guards else []
    if view.buttons:
        tail.append(_buttons(view.buttons, view.id, _thing(view), procedure=view.procedure))
    if view.notice:
        tail.append(context(join(":warning:", esc(view.notice))))
    blocks = fit(head, paragraphs(checklist(view)), tail, more=f"More: /forge status {view.id}")
    return Message(_headline_text(view), blocks)


def _first_line(view: RunView) -> Markup:
    sign = words.run_sign(view.state, view.ending, paused=view.paused_at is not None, procedure=view.procedure)
    place = words.progress(view)
    return join(
        sign.emoji,
        bold(esc(view.id)),
        "·",
        esc(view.service),
        code(view.version),
        place_word(view.procedure),
        bold(esc(view.environment)),
        "–",
        bold(esc(sign.word)),
        f"({place})" if place else "",
    )


def _origin(view: RunView) -> list[Markup]:
    parts = [join("Asked for by", esc(view.requester_name or view.requester, 80), moment(view.created_at))]
    if view.reason:
        parts.append(join("Reason:", esc(view.reason)))
    if view.ended_at is not None:
        took = words.since(view.created_at, view.ended_at)
        parts.append(join("Ended", moment(view.ended_at), f"after {took}"))
    if view.paused_at is not None and view.ended_at is None:
        parts.append(join("Paused since", clock_time(view.paused_at)))
    return parts


def _why(view: RunView) -> Markup:
    if view.state == RunState.ENDED:
        return esc(view.ending_reason)
    return esc(view.why) if view.why or not view.behind else join("It is behind", bold(esc(view.behind)))


def _headline_text(view: RunView) -> str:
    sign = words.run_sign(view.state, view.ending, paused=view.paused_at is not None, procedure=view.procedure)
    because = view.ending_reason if view.state == RunState.ENDED else view.why
    return top_text(esc(f"{view.id}: {_thing(view)} – {sign.word}."), esc(because, 300))


def _thing(view: RunView | ApprovalView) -> str:
    return f"{view.service} {view.version} {place_word(view.procedure)} {view.environment}"


def checklist(view: RunView) -> list[Markup]:
    """One line a step: position, emoji, title, word, and why."""
    lines: list[Markup] = []
    in_way_back = False
    for place, step in enumerate(view.steps, start=1):
        if step.in_way_back and not in_way_back:
            title = "Clearing up" if is_of_database(view.procedure) else "Way back to the previous state"
            lines.append(bold(Markup(title)))
        in_way_back = step.in_way_back
        lines.append(step_line(place, step))
    return lines


def step_line(place: int, step: StepView) -> Markup:
    sign = words.step_sign(step)
    told = step.doing if step.state in ("running", "waiting", "held") else step.reason
    attempt = f"attempt {step.attempt}" if step.attempt > 1 else ""
    until = join("until", clock_time(step.deadline)) if step.deadline and step.state == "waiting" else ""
    notes = join(esc(sign.word), attempt, until, by=", ")
    return join(
        f"{place}.", sign.emoji, esc(step.title, 150), "–", italic(notes) + (": " if told else ""), esc(told, 300)
    )


# --- the approval card ----------------------------------------------------------------------------------------------


def approval_card(view: ApprovalView) -> Message:
    """Exactly what is approved, by whom, until when; after the decision a sentence stands in place of the buttons."""
    is_open = view.state == "open"
    filled = sum(1 for slot in view.slots if slot.by)
    count = f"{filled} of {len(view.slots)}"
    head = [section(_card_title(view, count)), *paragraphs(_what(view))]
    title = "Sign-offs" if view.purpose == SIGN_OFF else "Approvals"
    head += paragraphs(
        [bold(Markup(f"{title}: {count}")), *(_slot(slot, is_open, view.purpose) for slot in view.slots)]
    )
    middle = paragraphs(_image(image) for image in view.images)
    if view.changes is not None:
        lines = change_lines(view.changes)
        middle += paragraphs(lines if is_open else lines[:1])
    steps = [bold(Markup("What will run")), *(join(f"{i}.", esc(s, 200)) for i, s in enumerate(view.steps, start=1))]
    middle += paragraphs(steps) if view.steps else []
    if view.evidence:
        middle += [divider(), *paragraphs([bold(Markup("What it rests on")), *_grounds(view, is_open=is_open)])]
    tail = _card_end(view, is_open=is_open)
    more = f"More: /forge status {view.run}"
    return Message(_card_text(view, count), fit(head, middle, tail, more=more))


def _grounds(view: ApprovalView, *, is_open: bool) -> list[Markup]:
    """After the decision what passed is a number: the card is then one among many in the channel."""
    if is_open:
        return verdict_lines(view.evidence, is_brief=True)
    passed = sum(1 for verdict in view.evidence if verdict.outcome is Outcome.PASS)
    lines = verdict_lines(verdict for verdict in view.evidence if verdict.outcome is not Outcome.PASS)
    return [*lines, join(":white_check_mark:", f"{passed} of {len(view.evidence)} checks have passed")]


def _card_title(view: ApprovalView, count: str) -> Markup:
    sign, word = _card_state(view)
    return join(
        sign,
        bold(esc(view.title, 150)),
        "·",
        bold(esc(view.run)),
        "–",
        bold(esc(word)),
        f"({count})" if view.slots else "",
    )


_CARD_STATES = {
    "open": (":point_right:", "approval needed"),
    "approved": (":white_check_mark:", "approved"),
    "rejected": (":x:", "rejected"),
    "expired": (":alarm_clock:", "expired"),
    "void": (":warning:", "void: what was asked for has changed"),
    "dead": (":heavy_minus_sign:", "no longer needed"),
}


def _card_state(view: ApprovalView) -> tuple[str, str]:
    if view.purpose == SIGN_OFF and view.state in _SIGN_OFF_STATES:
        return _SIGN_OFF_STATES[view.state]
    return _CARD_STATES.get(view.state, (":grey_question:", view.state))


_SIGN_OFF_STATES = {
    "open": (":point_right:", "sign-off needed"),
    "approved": (":white_check_mark:", "signed off"),
}


def _what(view: ApprovalView) -> list[Markup]:
    lines = [
        _subject(view),
        join(bold(Markup("Commit:")), code(view.commit[:12]), _changes(view)) if view.commit else _changes(view),
        join(bold(Markup("Asked for by:")), esc(view.requester_name or view.requester, 80)),
        join(bold(Markup("Reason:")), esc(view.reason)) if view.reason else Markup(""),
    ]
    if view.migrations:
        sign = ":warning:" if view.risky else ""
        lines.append(join(sign, bold(Markup("Migrations:")), esc("; ".join(view.migrations), 1_000)))
    return [line for line in lines if line]


def _subject(view: ApprovalView) -> Markup:
    if is_of_database(view.procedure):
        return join(
            bold(Markup("Database:")), esc(view.service), "on", bold(esc(view.environment)), "–", esc(view.version)
        )
    return join(bold(Markup("Release:")), esc(view.service), code(view.version), "to", bold(esc(view.environment)))


def _changes(view: ApprovalView) -> Markup:
    return link(view.changes_url, "changes since what runs now") if view.changes_url else Markup("")


def _image(image: FrozenImage) -> Markup:
    name = image.workload if image.container in ("", image.workload) else f"{image.workload}/{image.container}"
    return join(bold(Markup(esc(name, 100) + ":")), code(f"{image.repository}:{image.tag}"), code(image.digest))


def _slot(slot: SlotView, is_open: bool, purpose: str = "") -> Markup:
    name = words.role(slot.role)
    if slot.by:
        at = clock_time(slot.at) if slot.at else ""
        return join(
            ":white_check_mark:",
            esc(name),
            "– signed off by" if purpose == SIGN_OFF else "– approved by",
            bold(esc("@" + (slot.by_name or slot.by), 80)),
            at,
        )
    who = join(*(mention(member) for member in slot.who[:10])) if is_open else ""
    nobody = "nobody holds this role" if is_open and not slot.who else ""
    return join(":white_circle:", esc(name), "– open" if is_open else "– not given", who or esc(nobody))


def _card_end(view: ApprovalView, *, is_open: bool) -> list[Block]:
    tail: list[Block] = []
    if view.changed:
        tail += paragraphs(
            [bold(Markup("What changed")), *(join("•", esc(change, 300)) for change in view.changed[:15])]
        )
    if view.closing:
        tail.append(section(bold(esc(view.closing))))
    elif is_open and view.buttons:
        tail.append(_buttons(view.buttons, view.run, _thing(view), suffix=f":{view.index}"))
    notes = []
    if is_open and view.expires_at is not None:
        notes.append(join("Expires", moment(view.expires_at)))
    notes.append(join("Plan", code(view.plan_hash[:12])))
    return [*tail, context(*notes)]


def _card_text(view: ApprovalView, count: str) -> str:
    what = f"{_thing(view)} ({view.run})"
    if view.state != "open":
        word = _card_state(view)[1]
        return top_text(esc(f"{view.title}: {word}. {what}."), esc(view.closing, 200))
    needed = words.listed(words.role(slot.role) for slot in view.slots if not slot.by)
    asked = "Sign-off" if view.purpose == SIGN_OFF else "Approval"
    return top_text(esc(f"{asked} needed ({count}): {view.title}, {what}. By {needed or 'nobody'}."))


# --- buttons --------------------------------------------------------------------------------------------------------


def _buttons(buttons: Mapping[str, str], run: str, thing: str, suffix: str = "", procedure: str = "") -> Block:
    """In one order always. The block's id names the run for a dialog's title; what a click means is read from the database."""
    ordered = sorted(buttons, key=lambda action: _ORDER.index(action) if action in _ORDER else len(_ORDER))
    made = [
        button(
            _LABELS.get(action, action.capitalize()),
            action,
            buttons[action],
            style=_STYLES.get(action, ""),
            question=_question(action, run, thing, procedure),
            label=f"{_LABELS.get(action, action.capitalize()).removesuffix(' …')} {run}",
        )
        for action in ordered
    ]
    return actions(made, block_id=f"run:{run}{suffix}")


def _question(action: str, run: str, thing: str, procedure: str = "") -> Block | None:
    """`abort` and `reject` ask in a dialog of their own, which takes the reason too."""
    if action == "cancel" and lane_of(procedure):
        return confirm(f"Cancel {run}?", f"{run} ({thing}) ends, and what it has begun is cleared up.", f"Cancel {run}")
    if action == "cancel":
        return confirm(f"Cancel {run}?", f"{run} ({thing}) ends without having changed anything.", f"Cancel {run}")
    if action == "retry":
        return confirm(f"Retry {run}?", f"The held step of {run} ({thing}) is tried again.", "Retry", danger=False)
    return None
