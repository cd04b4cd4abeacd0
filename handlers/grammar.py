"""What parsing shares: the line on its way, and how a refusal says cause, remedy and the nearest valid word. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from engine.answers import Answer, refused
from handlers.tokens import Word
from runbook.commands import Argument, Command

ALIASES = {"production": "prod", "stage": "staging", "development": "dev"}
"""Other names of environments."""

EXAMPLE_WORDS = {
    Argument.ENVIRONMENT: "staging",
    Argument.VERSION: "v1.4.0-rc.2",
    Argument.RUN: "staging-12",
    Argument.PLACE_OR_RUN: "staging-12",
    Argument.COMMAND: "deploy",
    Argument.GATE: '"change window"',
    Argument.VERB: "list",
    Argument.INCIDENT: "incident-7",
    Argument.BACKUP_VERB: "list",
}


class Refusal(Exception):
    """Carries an answer up to `parser.parse_*`; never leaves the parser."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass
class Line:
    """One command line on its way. prefix: how the program is called here, `/forge ` or `forge `.

    values: what became fields of the intent. options: what goes into `Intent.options`. given: names of the `--options` that were typed.
    """

    prefix: str
    words: list[Word]
    text: str
    values: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)


def nearest(word: str, valid: Iterable[str], others: dict[str, str]) -> list[str]:
    """Valid words that this may have meant, by likeness to them or to their other names; at most two."""
    if word in others:
        return [others[word]]
    names = {name: name for name in valid} | others
    found = get_close_matches(word[:60], names, 4, 0.6)
    return list(dict.fromkeys(names[name] for name in found))[:2]


def did_you_mean(near: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(near)}? " if near else ""


def wrong(
    line: Line, command: Command, code: str, cause: str, *, near: Sequence[str] = (), hint: str = "", example: str = ""
) -> Refusal:
    """example: in place of the command's own."""
    shown = example or command.example or " ".join([command.name, *(EXAMPLE_WORDS[a] for a in command.arguments)])
    usage = f"Usage: {line.prefix}{command.usage} · Example: {line.prefix}{shown}"
    return Refusal(refused(code, cause, did_you_mean(near) + hint + usage))
