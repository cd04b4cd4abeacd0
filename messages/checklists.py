"""A run's checklist, and the card of an override: what is open, who ticked what, who has to agree. Pure."""

from __future__ import annotations

from engine.ports import Message
from engine.views import ChecklistView, ItemView, OverrideView
from messages.blocks import (
    Block,
    Markup,
    actions,
    bold,
    button,
    clock_time,
    confirm,
    esc,
    fit,
    italic,
    join,
    mention,
    paragraphs,
    section,
    top_text,
)

MOST_BUTTONS = 20


def checklist_card(view: ChecklistView) -> Message:
    """Every line with who ticked it; a button for each that is open. Block ids name the line: the button itself is opaque."""
    done = sum(1 for item in view.items if item.by)
    count = f"{done} of {len(view.items)}"
    sign = ":white_check_mark:" if done == len(view.items) else ":clipboard:"
    head = [section(join(sign, bold(esc(view.title, 150)), "·", bold(esc(view.run)), f"({count})"))]
    tail = _ticking(view)
    text = top_text(esc(f"{view.run}: {view.title}, {count} ticked"))
    return Message(text, fit(head, checklist_lines(view), tail, more=f"More: /forge checklist {view.run}"))


def checklist_lines(view: ChecklistView) -> list[Block]:
    """The lines alone, for the card and for an answer."""
    return paragraphs(_line(item) for item in view.items)


def _line(item: ItemView) -> Markup:
    if not item.by:
        return join(":white_large_square:", esc(item.text, 300))
    by = Markup("forge") if item.by == "forge" else esc("@" + (item.by_name or item.by), 80)
    at = clock_time(item.at) if item.at is not None else ""
    said = italic(esc(item.evidence, 200)) if item.evidence else ""
    return join(":ballot_box_with_check:", esc(item.text, 300), "–", by, at, said)


def _ticking(view: ChecklistView) -> list[Block]:
    """A row for each open line: its text stands on the button, so that nobody ticks the wrong one."""
    waiting = [item for item in view.items if not item.by and item.button][:MOST_BUTTONS]
    return [
        actions(
            [
                button(
                    f"Tick: {item.text}", "tick", item.button, label=f"Tick on the checklist of {view.run}: {item.text}"
                )
            ],
            block_id=f"run:{view.run}:tick:{view.index}:{item.name}",
        )
        for item in waiting
    ]


def override_card(view: OverrideView) -> Message:
    """What would be set aside, by whom and why; two buttons until a second person has decided."""
    is_open = view.state == "asked"
    sign, word = _STATES.get(view.state, (":grey_question:", view.state))
    head = [
        section(
            join(sign, bold(esc(f"Override of “{view.gate}”", 150)), "·", bold(esc(view.run)), "–", bold(esc(word)))
        )
    ]
    lines = [
        join(bold(Markup("The gate says:")), esc(view.verdict, 800)),
        join(bold(Markup("Asked for by:")), esc("@" + (view.asked_by_name or view.asked_by), 80), clock_time(view.at)),
        join(bold(Markup("Reason:")), esc(view.reason, 500)),
        join(bold(Markup("To do afterwards:")), esc(view.follow_up, 600)),
    ]
    who = join(*(mention(member) for member in view.who[:10])) if is_open else ""
    asked = join("A second person has to agree:", who) if is_open else esc(view.closing)
    tail = [*paragraphs([asked]), *_deciding(view)]
    text = top_text(who, esc(f"{view.run}: override of “{view.gate}”, {word}"))
    return Message(text, fit(head, paragraphs(lines), tail, more=f"More: /forge status {view.run}"))


_STATES = {
    "asked": (":warning:", "a second person is needed"),
    "granted": (":warning:", "OVERRIDDEN"),
    "refused": (":x:", "refused"),
    "void": (":heavy_minus_sign:", "void"),
}


def _deciding(view: OverrideView) -> list[Block]:
    if not view.buttons:
        return []
    sure = confirm("Override this gate?", f"{view.run} goes on in spite of “{view.gate}”.", "Override")
    made = []
    if "approve" in view.buttons:
        made.append(button("Agree: override", "approve", view.buttons["approve"], style="danger", question=sure))
    if "reject" in view.buttons:
        made.append(button("Refuse", "reject", view.buttons["reject"]))
    return [actions(made, block_id=f"run:{view.run}:override:{view.id}")]
