"""What people are asked beside approvals: a prompt to on-call, and a choice. Pure; rendered again in place from stored state."""

from __future__ import annotations

from engine.ports import Message
from engine.questions import ChoiceView, OptionView, PromptView
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
    esc,
    fit,
    join,
    mention,
    moment,
    paragraphs,
    section,
    top_text,
)
from messages.details import verdict_lines

MAX_MENTIONS = 20

_TRIGGERS = {
    "critical_alert": "critical alert",
    "core_transactions": "core transactions fail",
    "canary_ratio": "the canary fails more often than stable",
    "migration_regression": "regression after a migration",
}

_STATES = {
    "open": (":rotating_light:", "roll back?"),
    "rolled_back": (":leftwards_arrow_with_hook:", "rolled back"),
    "continued": (":arrow_forward:", "it goes on"),
    "over": (":arrow_forward:", "it went on, and the condition has cleared"),
    "closed": (":heavy_minus_sign:", "no answer needed any more"),
}


def trigger_words(trigger: str) -> str:
    return _TRIGGERS.get(trigger, trigger.replace("_", " "))


# --- the prompt -----------------------------------------------------------------------------------------------------


def prompt_card(view: PromptView) -> Message:
    """What, since when, until when, and what a rollback would do; after the answer who, when and why stand in place of the buttons."""
    is_open = view.state == "open"
    sign, word = _STATES.get(view.state, (":grey_question:", view.state))
    title = join(
        sign, bold(esc(trigger_words(view.trigger).capitalize(), 150)), "·", bold(esc(view.run)), "–", bold(esc(word))
    )
    head = [section(title), *paragraphs(_prompt_lines(view, is_open=is_open))]
    middle = paragraphs(verdict_lines(view.verdicts))
    if view.way_back:
        told = [
            bold(Markup("What a rollback would do")),
            *(join("•", esc(words.shortened(line), 600)) for line in view.way_back),
        ]
        middle += paragraphs(told)
    tail = _prompt_end(view, is_open=is_open)
    text = _prompt_text(view, word, is_open=is_open)
    return Message(text, fit(head, middle, tail, more=f"More: /forge status {view.run}"))


def _prompt_lines(view: PromptView, *, is_open: bool) -> list[Markup]:
    what = join(esc(view.service), code(view.version), "to", bold(esc(view.environment)))
    lines = [
        esc(view.reason, 1_000),
        join(bold(Markup("Release:")), what),
        join(bold(Markup("Since:")), moment(view.since), Markup("– asked"), moment(view.opened_at)),
    ]
    if not is_open:
        return lines
    until = join(bold(Markup("Rolled back unanswered:")), moment(view.deadline))
    if view.extended:
        times = "once" if view.extended == 1 else f"{view.extended} times"
        until = join(until, esc(f"(more time was taken {times})"))
    goes_on = "The run is held meanwhile." if view.is_held else "The run goes on meanwhile, under its guards."
    closes = " This closes by itself once the condition has been gone long enough." if view.recovers else ""
    return [*lines, until, esc(goes_on + closes)]


def _prompt_end(view: PromptView, *, is_open: bool) -> list[Block]:
    if not is_open:
        at = moment(view.answered_at) if view.answered_at is not None else ""
        return [section(join(bold(esc(view.closing, 1_000)), at))]
    tail = [section(join(_mentions(view.who), "– your decision."))] if view.who else []
    return [*tail, _prompt_buttons(view)] if view.buttons else tail


def _prompt_buttons(view: PromptView) -> Block:
    thing = f"{view.service} {view.version} on {view.environment}"
    question = confirm(f"Roll back {view.run}?", f"{thing} goes back to the version before, at once.", "Roll back")
    made = [
        ("rollback", "Roll back", "danger", question),
        ("extend", f"Give me {view.mitigate.replace(' min', ' minutes')}", "", None),
        ("continue", "Continue …", "", None),
    ]
    shown = [
        button(
            text,
            action,
            view.buttons[action],
            style=style,
            question=ask,
            label=f"{text.removesuffix(' …')}: {view.run}",
        )
        for action, text, style, ask in made
        if action in view.buttons
    ]
    return actions(shown, block_id=f"run:{view.run}:p{view.number}")


def _prompt_text(view: PromptView, word: str, *, is_open: bool) -> str:
    what = f"{view.run}: {view.service} {view.version} on {view.environment}"
    if not is_open:
        return top_text(esc(f"{what} – {word}."), esc(view.closing, 300))
    asked = esc(f"{what}: roll back? {view.reason}.", 400)
    return top_text(_mentions(view.who), asked, "Rolled back unanswered at", clock_time(view.deadline))


def _mentions(who: tuple[str, ...]) -> Markup:
    return join(*(mention(member) for member in who[:MAX_MENTIONS]))


# --- the choice -----------------------------------------------------------------------------------------------------


def choice_card(view: ChoiceView) -> Message:
    """Who must choose between what, and what each answer does."""
    sign, word = (":point_right:", "a choice is needed") if view.is_open else (":ballot_box_with_check:", "decided")
    title = join(sign, bold(esc(view.title, 150)), "·", bold(esc(view.run)), "–", bold(esc(word)))
    head = [section(title), *paragraphs(_choice_lines(view))]
    middle = paragraphs(_option(place, option) for place, option in enumerate(view.options, start=1))
    tail = _choice_end(view)
    return Message(_choice_text(view), fit(head, middle, tail, more=f"More: /forge status {view.run}"))


def _choice_lines(view: ChoiceView) -> list[Markup]:
    lines = [join(bold(Markup("Release:")), esc(view.service), code(view.version), "to", bold(esc(view.environment)))]
    if view.why:
        lines.append(join(bold(Markup("Why:")), esc(view.why, 800)))
    if not view.is_open:
        return lines
    lines.append(
        join(
            bold(Markup("Who chooses:")),
            esc(words.role(view.role)),
            _mentions(view.who) or esc("– nobody holds this role"),
        )
    )
    if view.deadline is not None:
        then = f"then: {view.default}" if view.default else "it goes on waiting after it, and on-call is asked too"
        lines.append(join(bold(Markup("Until:")), moment(view.deadline), esc(f"– {then}")))
    else:
        lines.append(esc("It waits until somebody chooses."))
    return lines


def _option(place: int, option: OptionView) -> Markup:
    return join(f"{place}.", bold(esc(option.label, 150)), join("–", esc(option.text, 600)) if option.text else "")


def _choice_end(view: ChoiceView) -> list[Block]:
    if not view.is_open:
        return [section(bold(esc(view.closing, 1_000)))]
    made = [
        button(
            option.label,
            f"choose:{option.name}",
            option.button,
            question=confirm(
                f"{view.run}: {option.label}?", option.text or f"{view.run} goes on with: {option.label}.", "Choose"
            ),
            label=f"{option.label}: {view.run}",
        )
        for option in view.options
        if option.button
    ]
    return [actions(made, block_id=f"run:{view.run}:c{view.index}")] if made else []


def _choice_text(view: ChoiceView) -> str:
    what = f"{view.run}: {view.title}"
    if not view.is_open:
        return top_text(esc(f"{what} – decided."), esc(view.closing, 300))
    labels = words.listed((option.label for option in view.options), last="or")
    return top_text(_mentions(view.who), esc(f"{what} – {words.role(view.role)} chooses: {labels}.", 450))
