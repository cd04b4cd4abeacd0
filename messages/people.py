"""What `/forge oncall` shows: who is on call, who can decide what, and who can't be reached. Pure; mentions nobody.

Lines are short: they are read on a phone, in the minutes when it matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from engine.oncall_lookup import DecisionView, HoldersView, PeopleView
from messages import words
from messages.blocks import Block, Markup, bold, clock_time, context, esc, join, moment, paragraphs, plain, with_code
from messages.words import Sign
from runbook.ports import Person
from runbook.values import Role
from runbook.verdicts import Outcome

if TYPE_CHECKING:
    from rich.table import Table

_THERE = Sign(":white_check_mark:", "✔", "reachable")
_NOT_THERE = Sign(":warning:", "!", "not reachable")
_UNKNOWN = Sign(":grey_question:", "?", "unknown")
_NOBODY = Sign(":x:", "✘", "nobody")
MOST_NAMED = 12


def people_blocks(view: PeopleView) -> list[Block]:
    """The card: one section for each role, then the decisions."""
    blocks = [block for role in view.roles for block in paragraphs(_role_lines(role))]
    blocks += paragraphs([bold(esc("Who can decide")), *(_decision_line(each) for each in view.decisions)])
    return [
        *blocks,
        context(join(moment(view.at), "·", esc("One person fills one approval; who asks for a release fills none."))),
    ]


def _role_lines(view: HoldersView) -> Iterator[Markup]:
    title = bold(esc(words.role(view.role.value)))
    if view.trouble:
        yield join(_UNKNOWN.emoji, title, "–", esc(f"nobody can say: {view.trouble}", 300))
        if view.remedy:
            yield join(":bulb:", with_code(view.remedy, 300))
        return
    there = [person for person in view.people if person.reachable]
    names = join(*(_person(person) for person in there[:MOST_NAMED]), by=", ")
    more = f"and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    sign = _THERE if there else _NOBODY
    yield join(sign.emoji, title, "–", names or esc("nobody who can be reached" if view.people else "nobody"), more)
    absent = [person for person in view.people if not person.reachable]
    for person in absent[:MOST_NAMED]:
        yield join("    ", _NOT_THERE.emoji, esc(f"{_name(person)}: {person.reason or _NOT_THERE.word}", 300))
    if len(absent) > MOST_NAMED:
        yield esc(f"    and {len(absent) - MOST_NAMED} more who can't be reached")


def _person(person: Person) -> Markup:
    name = esc(_name(person), 80)
    return join(name, "until", clock_time(person.until)) if person.until is not None else name


def _name(person: Person) -> str:
    return person.name or person.id or "somebody without a name"


def _decision_line(view: DecisionView) -> Markup:
    sign, reason = _judged(view)
    return join(
        sign.emoji, bold(esc(view.title)), "–", esc(slots_words(view.slots)), esc(f"({reason})", 400) if reason else ""
    )


def _judged(view: DecisionView) -> tuple[Sign, str]:
    if view.verdict is None:
        return _UNKNOWN, "nobody can say whether there are enough people"
    if view.verdict.outcome is Outcome.PASS:
        return _THERE, ""
    return _NOBODY, view.verdict.reason


def slots_words(slots: Sequence[Sequence[Role]]) -> str:
    """`Service Owner and Product or Operations`."""
    return " and ".join(" or ".join(words.role(role.value) for role in slot) for slot in slots) or "nobody is asked"


# --- terminal ---------------------------------------------------------------------------------------------------------


def people_tables(view: PeopleView) -> Iterator[Table | str]:
    """Tables and lines of text, in the order in which a terminal shows them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            made.add_column(column, overflow="fold")
        return made

    people = table("Who holds which role", "", "role", "who", "until", "by")
    for role in view.roles:
        name = words.role(role.role.value)
        if role.trouble:
            people.add_row(_UNKNOWN.char, name, plain(f"nobody can say: {role.trouble}", 300), "", "")
        elif not role.people:
            people.add_row(_NOBODY.char, name, "nobody", "", "")
        for person in role.people:
            people.add_row(*_cells(name, person))
    yield people
    decided = table("Who can decide", "", "what", "who", "")
    for each in view.decisions:
        sign, reason = _judged(each)
        decided.add_row(sign.char, each.title, slots_words(each.slots), plain(reason, 400))
    yield decided
    yield f"{view.at:%Y-%m-%d %H:%M:%S} UTC; who asks for a release fills none of its approvals"


def _cells(role: str, person: Person) -> tuple[str, ...]:
    sign = _THERE if person.reachable else _NOT_THERE
    told = _name(person) if person.reachable else f"{_name(person)}: {person.reason or sign.word}"
    until = f"{person.until:%Y-%m-%d %H:%M} UTC" if person.until is not None else ""
    return sign.char, role, plain(told, 300), until, plain(person.source, 100)
